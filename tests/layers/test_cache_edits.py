"""No edit of a layer leaves its evaluation as it was: every way to change a parameter."""

import copy

import pytest
import torch
from torch import Tensor, nn

from flexkern import SIREN, FlexConv1d, freeze_sizes, unfreeze_sizes
from tolerances import assert_matches


def make(engine: str = "auto") -> FlexConv1d:
    return FlexConv1d(2, 3, 15, padding="same", generator=SIREN(hidden=4), engine=engine).eval()


def evaluate(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(x)


def anew(layer: nn.Module, x: Tensor) -> Tensor:
    """The output with nothing reused: gradients are recorded."""
    with torch.enable_grad():
        return layer(x).detach()


def optimiser_step(layer, optimiser, **options):
    chosen = optimiser(layer.parameters(), lr=0.1, **options)
    layer(torch.ones(1, 2, 12)).square().sum().backward()
    chosen.step()


def in_place(layer):
    with torch.no_grad():
        layer.generator.readout_weight.mul_(2)


def one_entry(layer):
    with torch.no_grad():
        layer.generator.readout_weight[1, 2] += 1


def through_data(layer):
    layer.generator.readout_weight.data.mul_(2)


def swapped_entries_through_data(layer):
    """Neither sum nor norm changes."""
    rows = layer.generator.readout_weight.data
    rows.copy_(rows.flip(0))


def other_data(layer):
    layer.generator.readout_weight.data = 2 * layer.generator.readout_weight.data


def through_numpy(layer):
    values = layer.generator.readout_weight.detach().numpy()
    values *= 2


def features(layer):
    with torch.no_grad():
        next(p for name, p in layer.generator.named_parameters() if not name.startswith("readout")).add_(0.3)


def window_width(layer):
    layer.window.set_width(torch.full_like(layer.window.log_width, 0.6))


def window_width_within_the_same_crop(layer):
    bounds = layer.bounds
    layer.window.set_width(layer.window.width * 1.001)
    assert layer.bounds == bounds


def window_width_through_data(layer):
    layer.window.log_width.data.add_(1e-3)


def window_centre(layer):
    with torch.no_grad():
        layer.window.centre.add_(0.05)


def frozen_size_then_width(layer):
    freeze_sizes(layer)
    evaluate(layer, torch.ones(1, 2, 12))
    with torch.no_grad():
        layer.window.log_width.sub_(0.5)


def freeze_widen_unfreeze(layer):
    freeze_sizes(layer)
    evaluate(layer, torch.ones(1, 2, 12))
    with torch.no_grad():
        layer.window.log_width.add_(1)
    evaluate(layer, torch.ones(1, 2, 12))
    unfreeze_sizes(layer)


def load_state_dict(layer):
    layer.load_state_dict(make().state_dict())


def load_state_dict_assign(layer):
    layer.load_state_dict(make().state_dict(), assign=True)


def new_parameter(layer):
    layer.generator.readout_weight = nn.Parameter(torch.randn_like(layer.generator.readout_weight))


def new_bias(layer):
    layer.bias = nn.Parameter(torch.ones(3))


def no_bias(layer):
    with torch.no_grad():
        layer.bias.fill_(1)
    evaluate(layer, torch.ones(1, 2, 12))
    layer.bias = None
    with torch.no_grad():
        layer.generator.readout_weight.mul_(2)


def new_generator(layer):
    layer.generator = make().generator


def new_window(layer):
    other = make().window
    other.set_width(torch.full_like(other.log_width, 0.6))
    layer.window = other


def swapped_tensors(layer):
    torch.utils.swap_tensors(
        layer.generator.readout_weight, nn.Parameter(torch.randn_like(layer.generator.readout_weight))
    )


def vector_of_parameters(layer):
    values = nn.utils.parameters_to_vector(layer.parameters()).detach()
    nn.utils.vector_to_parameters(values + 0.1, layer.parameters())


class Shift(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return value + 1e-2


def parametrised(layer):
    nn.utils.parametrize.register_parametrization(layer.generator, "readout_weight", Shift())


def parametrised_last_parameter(layer):
    """Neither order nor values of the parameters change."""
    name = list(layer.generator._parameters)[-1]
    nn.utils.parametrize.register_parametrization(layer.generator, name, Shift())


def parametrised_window(layer):
    nn.utils.parametrize.register_parametrization(layer.window, "log_width", Shift())


def parametrised_and_edited(layer):
    parametrised(layer)
    evaluate(layer, torch.ones(1, 2, 12))
    with torch.no_grad():
        layer.generator.parametrizations.readout_weight.original.mul_(2)


def parametrised_and_removed(layer):
    parametrised(layer)
    evaluate(layer, torch.ones(1, 2, 12))
    nn.utils.parametrize.remove_parametrizations(layer.generator, "readout_weight", leave_parametrized=True)


def train_edit_eval(layer):
    layer.train()
    optimiser_step(layer, torch.optim.SGD)
    layer.eval()


def double_edit_float(layer):
    layer.double()
    evaluate(layer, torch.ones(1, 2, 12, dtype=torch.float64))
    in_place(layer)
    layer.float()


EDITS = {
    function.__name__: function
    for function in (
        in_place,
        one_entry,
        through_data,
        swapped_entries_through_data,
        other_data,
        through_numpy,
        features,
        window_width,
        window_width_within_the_same_crop,
        window_width_through_data,
        window_centre,
        frozen_size_then_width,
        freeze_widen_unfreeze,
        load_state_dict,
        load_state_dict_assign,
        FlexConv1d.reset_parameters,
        new_parameter,
        new_bias,
        no_bias,
        new_generator,
        new_window,
        swapped_tensors,
        vector_of_parameters,
        parametrised,
        parametrised_last_parameter,
        parametrised_window,
        parametrised_and_edited,
        parametrised_and_removed,
        train_edit_eval,
        double_edit_float,
    )
}
OPTIMISERS = {
    "sgd": (torch.optim.SGD, {}),
    "sgd_foreach": (torch.optim.SGD, {"foreach": True}),
    "adam": (torch.optim.Adam, {}),
    "adam_fused": (torch.optim.Adam, {"fused": True}),
    "adamw_foreach": (torch.optim.AdamW, {"foreach": True}),
}


def check(layer: FlexConv1d, edit) -> None:
    x = torch.randn(2, 2, 12)
    before = [evaluate(layer, x) for _ in range(2)][1]
    edit(layer)
    expected = anew(layer, x)
    assert not torch.equal(expected, before), "the edit does nothing"
    for _ in range(2):
        assert_matches(evaluate(layer, x), expected)


@pytest.mark.parametrize("engine", ["direct", "fft", "dft", "overlap_save"])
@pytest.mark.parametrize("name", EDITS)
def test_never_stale_after(name, engine):
    check(make(engine), EDITS[name])


@pytest.mark.parametrize("engine", ["direct", "fft"])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_never_stale_after_a_step_of(name, engine):
    optimiser, options = OPTIMISERS[name]
    check(make(engine), lambda layer: optimiser_step(layer, optimiser, **options))


@pytest.mark.parametrize("name", ["in_place", "through_data", "window_width", "new_parameter"])
def test_never_stale_in_inference_mode(name):
    layer, x = make(), torch.randn(2, 2, 12)
    with torch.inference_mode():
        before = layer(x)
    EDITS[name](layer)
    with torch.inference_mode():
        after = layer(x)
    assert not torch.equal(after, before)
    assert_matches(after, anew(layer, x))


def test_parameters_that_take_one_another_s_place_in_memory():
    """A new object may get the identity, the version and the address of one that was deleted."""
    layer, x = make(), torch.randn(2, 2, 12)
    for _ in range(50):
        layer.generator.readout_weight = None
        layer.generator.readout_weight = nn.Parameter(torch.randn(6, 4))
        assert_matches(evaluate(layer, x), anew(layer, x))


def test_to_double_and_back_gives_each_its_own():
    layer, x = make(), torch.randn(2, 2, 12)
    single = evaluate(layer, x)
    double = evaluate(layer.double(), x.double())
    assert double.dtype is torch.float64
    assert_matches(double, anew(layer, x.double()))
    assert_matches(evaluate(layer.float(), x), single)
    assert evaluate(layer.bfloat16(), x.bfloat16()).dtype is torch.bfloat16


def test_a_copy_and_its_original_go_their_own_ways():
    layer, x = make(), torch.randn(2, 2, 12)
    first = evaluate(layer, x)
    twin = copy.deepcopy(layer)
    in_place(layer)
    assert_matches(evaluate(twin, x), first)
    assert_matches(evaluate(layer, x), anew(layer, x))
    assert_matches(evaluate(copy.copy(layer), x), anew(layer, x))


def test_a_plain_attribute_counts():
    """Not only parameters decide a kernel."""
    layer = FlexConv1d(2, 3, 31, padding="same", generator=SIREN(hidden=8)).eval()
    x = torch.randn(1, 2, 40)
    with torch.no_grad():
        before = layer(x)
        layer.generator.omega = 2 * layer.generator.omega
        after = layer(x)
    assert not torch.equal(before, after)
    assert_matches(after, copy.deepcopy(layer)(x).detach())


def test_training_forgets_what_evaluation_kept():
    from flexkern.layers import cache

    layer = FlexConv1d(2, 3, 31, padding="same")
    x = torch.randn(1, 2, 40)
    with torch.no_grad():
        layer(x)
    assert layer in cache._entries
    layer(x)
    assert layer not in cache._entries
