"""GaussianWindow and what it makes of its options."""

import pytest
import torch

from flexkern import FlexConv1d, FlexConv2d, GaussianWindow
from flexkern.functional import continuous_window, gaussian_window, make_grid
from flexkern.windows import width_for_size
from tolerances import assert_matches


def test_default_is_the_paper_s():
    window = GaussianWindow((33, 33))
    assert window.width.tolist() == pytest.approx([0.075, 0.075])
    assert window.centre.tolist() == [0.0, 0.0]
    assert window.threshold == 0.1
    assert GaussianWindow((33,), causal=True).centre.tolist() == [1.0]


def test_values_are_the_function_s():
    options = {"width": (0.4, 0.6), "centre": (0.1, -0.1), "dtype": torch.float64}
    positions = make_grid((9, 5), dtype=torch.float64)
    window = GaussianWindow((9, 5), continuous=False, **options)
    assert_matches(window(positions), gaussian_window(positions, window.centre, window.width))
    window = GaussianWindow((9, 5), continuous=True, **options)
    assert_matches(window(positions), continuous_window(positions, window.centre, window.width, 0.1))


@pytest.mark.parametrize("lengths", [(1,), (2,), (3,), (5, 4), (33, 1), (2, 2, 2), (785,)])
def test_floor_is_half_a_sample(lengths):
    window = GaussianWindow(lengths, dtype=torch.float64)
    half = torch.tensor([1 / (k - 1) if k > 1 else 1.0 for k in lengths], dtype=torch.float64)
    with torch.no_grad():
        window.log_width.fill_(-1e3)
    assert_matches(window.width, half)
    window.set_width(torch.zeros(len(lengths), dtype=torch.float64))
    assert (window.width > half).all()
    assert window.log_width.isfinite().all()


def test_set_width_is_exact_above_the_floor():
    window = GaussianWindow((33, 9), dtype=torch.float64)
    window.set_width(torch.tensor([0.3, 2.0], dtype=torch.float64))
    assert_matches(window.width, torch.tensor([0.3, 2.0], dtype=torch.float64))


@pytest.mark.parametrize("which", ["learn_width", "learn_centre"])
def test_learnability_per_axis(which):
    window = GaussianWindow((9, 9), **{which: (False, True)}, dtype=torch.float64)
    window(make_grid((9, 9), dtype=torch.float64)).pow(2).mul(torch.randn(9, 9)).sum().backward()
    gradient = (window.log_width if which == "learn_width" else window.centre).grad
    assert gradient[0] == 0
    assert gradient[1] != 0


@pytest.mark.parametrize(
    "options", [{"learn_width": False}, {"learn_centre": False}, {"learn_width": False, "learn_centre": False}]
)
def test_what_is_not_learned_is_a_buffer_in_the_state(options):
    window = GaussianWindow((9,), **options)
    names = {name for name, _ in window.named_parameters()}
    assert names == {"log_width", "centre"} - {
        o.replace("learn_width", "log_width").removeprefix("learn_") for o in options
    }
    assert set(window.state_dict()) == {"log_width", "centre"}


def test_per_channel():
    window = GaussianWindow((9, 9), 4, per_channel=True)
    assert window.width.shape == (4, 2)
    assert window(make_grid((9, 9))).shape == (4, 9, 9)


def test_bounds_are_those_of_the_widest_channel():
    layer = FlexConv1d(1, 3, 65, window=GaussianWindow(per_channel=True))
    layer.window.set_width(torch.tensor([[0.1], [0.3], [0.2]]))
    assert layer.size == FlexConv1d(1, 1, 65, window=GaussianWindow(width=0.3)).size


def test_continuous_output_has_no_jump_where_the_size_changes():
    x = torch.randn(1, 1, 64, dtype=torch.float64)
    jumps = {}
    for continuous in (False, True):
        layer = FlexConv1d(1, 1, 33, window=GaussianWindow(continuous=continuous), dtype=torch.float64)
        outputs, seen = [], set()
        for width in torch.linspace(0.15, 0.35, 150, dtype=torch.float64):
            layer.window.set_width(width[None])
            outputs.append(layer(x).detach())
            seen.add(layer.size)
        steps = torch.stack(outputs).diff(dim=0).flatten(1).norm(dim=1)
        jumps[continuous] = (steps.max() / steps.median()).item()
        assert len(seen) > 5
    assert jumps[True] < 5 < jumps[False]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5, 8, 33, 64])
def test_init_size_is_the_size_to_start_with(length, causal):
    parity = 1 if causal else 2
    # The floor of half a sample reaches 1.07 samples: 0 and 1 behind (causal), -1 0 1 (odd), -0.5 0.5 (even).
    least = min(length, 3 if length % 2 and not causal else 2)
    for size in range(least, length + 1, parity):
        layer = FlexConv1d(1, 1, length, causal=causal, init_size=size, generator="table")
        assert layer.size == (size,)
        layer.window.set_width(torch.tensor([10.0]))
        layer.reset_parameters()
        assert layer.size == (size,)


def test_init_size_of_the_other_parity_is_the_next_smaller():
    assert FlexConv2d(1, 1, 33, init_size=(6, 7)).size == (5, 7)


def test_init_size_respects_the_threshold():
    for threshold in (0.01, 0.1, 0.5):
        layer = FlexConv1d(1, 1, 65, init_size=21, window=GaussianWindow(threshold=threshold))
        assert layer.size == (21,)
    assert width_for_size((65,), (21,), 0.01) < width_for_size((65,), (21,), 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianWindow((9,), width=0.1), r"`width` must exceed half a sample, 0.125 on an axis of 9"),
        (lambda: GaussianWindow((9,), width=float("nan")), r"`width` must exceed half a sample"),
        (lambda: GaussianWindow((9, 9), width=(0.3,)), r"`width` must be one value or 2, one per axis"),
        (lambda: GaussianWindow((9, 9), centre=(0.3,)), r"`centre` must be one value or 2, one per axis"),
        (lambda: GaussianWindow((9, 9), learn_width=(True,) * 3), r"`learn_width` must be one value or 2"),
        (lambda: GaussianWindow((9,), threshold=1.0), r"`threshold` must lie between 0 and 1, got 1.0"),
        (lambda: FlexConv1d(1, 1, 9, init_size=10), r"`init_size` must be between 3 and the kernel size 9, got 10"),
        (lambda: FlexConv1d(1, 1, 9, init_size=1), r"`init_size` must be between 3 and the kernel size 9, got 1"),
        (lambda: FlexConv1d(1, 1, 9, init_size=0), r"`init_size` must be positive, got 0"),
        (lambda: FlexConv2d(1, 1, 9, init_size=(5,)), r"`init_size` must be an integer or 2 of them"),
    ],
)
def test_errors_name_the_option(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("window", ["gaussian", 3, GaussianWindow((9, 9))])
def test_window_must_be_a_factory(window):
    with pytest.raises(TypeError, match=r"`window` must be a factory such as GaussianWindow\(threshold=0.05\)"):
        FlexConv2d(1, 1, 9, window=window)


def test_repr():
    text = repr(GaussianWindow((9,), 2, per_channel=True))
    assert "threshold=0.1" in text
    assert "per_channel" in text
    assert repr(GaussianWindow((9,), continuous=True)) != repr(GaussianWindow((9,), continuous=False))


def test_a_centre_that_leaves_the_grid_can_come_back():
    """The continuous window is zero beyond its support: without care, so is every gradient there."""
    layer = FlexConv1d(1, 1, 33, causal=True)
    with torch.no_grad():
        layer.window.centre.fill_(1.3)
    assert layer.weight.abs().sum() > 0
    layer(torch.randn(1, 1, 64)).square().sum().backward()
    assert layer.window.centre.grad.abs().item() > 0
    with pytest.raises(ValueError, match=r"`centre` must lie within \[-1, 1\], got 1.5"):
        GaussianWindow((33,), centre=1.5)
