"""The authors' checkpoints in our networks."""

import functools
import json

import pytest
import torch

from flexkern import FlexConv1d, FlexTCN, GaussianWindow, MAGNet, create_model, sizes
from flexkern.interop import load_reference_state
from golden import load_golden, with_prefix
from shared import shared_path
from tolerances import assert_matches

PAPER = {"generator": MAGNet(hidden=8), "window": GaussianWindow(continuous=False)}


def flexnet_tiny():
    return create_model("flexnet", in_channels=3, kernel_size=9, width=4, factors=((1, 1), (1.5, 1)), **PAPER)


def flextcn_tiny():
    conv = functools.partial(FlexConv1d, kernel_size=32, causal=True, **PAPER)
    return FlexTCN(3, 10, conv, widths=(4, 6))


CASES = {
    "flexnet_tiny": (flexnet_tiny, {"activation/norm1": "stem.1", "activation/blocks.": "blocks."}),
    "flextcn_tiny": (flextcn_tiny, {"activation/backbone.": "blocks."}),
}


@pytest.fixture(params=CASES)
def imported(request):
    make, names = CASES[request.param]
    golden = load_golden(f"{request.param}.npz")
    model = make().double()
    assert load_reference_state(model, with_prefix(golden, "state/")) is model
    return model.eval(), golden, names


def test_logits_and_activations(imported):
    model, golden, names = imported
    seen = {}
    for ours, module in model.named_modules():
        module.register_forward_hook(lambda _, __, out, name=ours: seen.setdefault(name, out.detach().clone()))
    assert_matches(model(golden["x"].double()), golden["logits"])
    checked = 0
    for key, value in golden.items():
        for theirs, ours in names.items():
            if key.startswith(theirs):
                assert_matches(seen[ours + key.removeprefix(theirs)], value, name=key)
                checked += 1
    assert checked >= 2


def test_logits_in_float32(imported):
    model, golden, _ = imported
    assert_matches(model.float()(golden["x"]), golden["logits_float32"])


def test_cropped_sizes(imported):
    model, golden, _ = imported
    ours = list(sizes(model).values())
    assert ours == [tuple(size) for size in golden["conv_kernel_size"].tolist()]


def flexnet7_state():
    keys = json.loads(shared_path("golden", "flexnet7_state_keys.json").read_text())
    generator, state = torch.Generator().manual_seed(0), {}
    for key, shape in keys:
        state[key] = torch.rand(shape, generator=generator) + 0.1  # sigmas above half a sample
        if key.endswith("train_length"):
            state[key] = torch.tensor([33])
        elif key.endswith("mask_threshold"):
            state[key] = torch.tensor([0.1])
    return state


def test_every_parameter_of_flexnet7_finds_its_place():
    state = flexnet7_state()
    ignored = ("train_length", "temperature", "mask_threshold", "running_mean", "running_var", "num_batches_tracked")
    parameters = {k: v for k, v in state.items() if not k.endswith(ignored)}
    assert (len(state), len(parameters)) == (516, 426)
    assert sum(v.numel() for v in parameters.values()) == 671_650
    model = create_model("flexnet7", window={"continuous": False})
    load_reference_state(model, state)
    ours = []
    for name, value in model.named_parameters():
        window = model.get_submodule(name.rsplit(".", 1)[0])
        ours.append((window.width if name.endswith("log_width") else value).detach().flatten())
    theirs = torch.cat([v.flatten() for v in parameters.values()]).sort().values
    torch.testing.assert_close(torch.cat(ours).sort().values, theirs, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("norm1.bias"), r"no entry 'norm1.bias'"),
        (lambda s: s.update({"norm1.bias": torch.zeros(7)}), r"'norm1.bias' has shape \(7,\), expected \(24,\)"),
        (
            lambda s: s.update({"cconv1.train_length": torch.tensor([17])}),
            r"cconv1.train_length is 17, but",
        ),
        (lambda s: s.update({"cconv1.mask_threshold": torch.tensor([0.3])}), r"cconv1.mask_threshold is 0.3, but"),
        (lambda s: s.update({"extra": torch.zeros(1)}), r"has no place for, first 'extra'"),
        (lambda s: s.update({"norm1.bias": s["norm1.bias"].view(4, 6)}), r"'norm1.bias' has shape \(4, 6\)"),
    ],
    ids=["missing", "wrong_size", "other_grid", "other_threshold", "left_over", "wrong_shape_of_the_same_size"],
)
def test_wrong_states_are_refused_naming_the_entry(edit, message):
    state = flexnet7_state()
    edit(state)
    with pytest.raises(ValueError, match=message):
        load_reference_state(create_model("flexnet7", window={"continuous": False}), state)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="must be a FlexNet or a FlexTCN, got Linear"):
        load_reference_state(torch.nn.Linear(1, 1), {})
    with pytest.raises(ValueError, match="only multiplicative generators"):
        load_reference_state(
            create_model("flexnet7", generator="siren", window={"continuous": False}), flexnet7_state()
        )


def test_ordinary_networks_are_refused():
    with pytest.raises(ValueError):  # noqa: PT011 - any clear refusal
        load_reference_state(create_model("convnet"), flexnet7_state())


def test_failed_import_leaves_the_model_as_it_was():
    state = flexnet7_state()
    state.pop("out_layer.bias")
    model = create_model("flexnet7", window={"continuous": False})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"out_layer\.bias"):
        load_reference_state(model, state)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_default_window_is_not_silently_another_function():
    """The authors' window is cut at the threshold; a model with continuous windows must not silently differ."""
    golden = load_golden("flexnet_tiny.npz")
    options = {**PAPER, "window": GaussianWindow(continuous=True)}
    model = create_model(
        "flexnet", in_channels=3, kernel_size=9, width=4, factors=((1, 1), (1.5, 1)), **options
    ).double()
    try:
        load_reference_state(model, with_prefix(golden, "state/"))
    except ValueError as error:
        assert "continuous" in str(error)  # noqa: PT017
    else:
        assert_matches(model.eval()(golden["x"].double()), golden["logits"])
