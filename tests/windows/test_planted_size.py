"""A kernel of known width is planted in data; the layer must find it from 4x too small and 4x too large."""

import pytest
import torch

from flexkern import FlexConv1d, FlexConv2d, GaussianWindow, Generator, MAGNet
from problems import PlantedWidth, extent

LINE = PlantedWidth((65,), (0.2,), (256,), batch=16)
CAUSAL = PlantedWidth((64,), (0.3,), (256,), batch=16, causal=True)
PLANE = PlantedWidth((21, 21), (0.26, 0.36), (24, 24), batch=8)


# A window lowered by 0.1 fits a Gaussian best when it is 1.12 times as wide (see GaussianWindow).
LOWERED = 1.12


class Constant(Generator):
    """One number per kernel: what is left to learn is the window."""

    def __init__(self, dims, channels, **base):
        super().__init__(dims, channels, num_features=1, readout_bias=False, **base)
        self.reset_parameters()

    def features_at(self, points):
        return torch.ones_like(points[:1])

    def reset_features(self):
        pass


def fitted(problem, factor, generator, *, steps, lr, **window):
    """A FlexConv after plain Adam on the squared error, all parameters at one rate."""
    cls = {1: FlexConv1d, 2: FlexConv2d}[len(problem.horizon)]
    window = GaussianWindow(width=tuple(factor * w for w in problem.width), **window)
    options = {"causal": True} if problem.causal else {"padding": "same"}
    layer = cls(1, 1, problem.horizon, bias=False, generator=generator, window=window, engine="direct", **options)
    assert layer.window.width.tolist() == pytest.approx([factor * w for w in problem.width], rel=1e-5)
    x, y = problem.data()
    optimiser = torch.optim.Adam(layer.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        (layer(x) - y).square().mean().backward()
        optimiser.step()
    return layer, (layer(x) - y).square().mean().item()


def samples(problem, values):
    """Widths in samples."""
    return [v * (k - 1) / 2 for v, k in zip(values, problem.horizon, strict=True)]


@pytest.mark.parametrize("factor", [0.25, 4.0], ids=["4x_too_small", "4x_too_large"])
@pytest.mark.parametrize("problem", [LINE, CAUSAL, PLANE], ids=["1d", "causal", "2d"])
@pytest.mark.parametrize("window", [{}, {"continuous": False}], ids=["default", "paper"])
def test_window_s_own_width_when_the_generator_is_constant(problem, factor, window):
    # Beyond the most recent sample a causal window's centre and width do nearly the same: hold the centre.
    layer, loss = fitted(problem, factor, Constant, steps=100, lr=0.06, learn_centre=not problem.causal, **window)
    width = layer.window.width / (LOWERED if layer.window.continuous else 1)
    assert width.tolist() == pytest.approx(list(problem.width), rel=0.1)
    assert extent(layer.weight, problem.causal) == pytest.approx(extent(problem.kernel(), problem.causal), rel=0.1)
    assert loss < 0.02


@pytest.mark.parametrize("factor", [0.25, 4.0], ids=["4x_too_small", "4x_too_large"])
@pytest.mark.parametrize("problem", [LINE, CAUSAL, PLANE], ids=["1d", "causal", "2d"])
def test_extent_of_the_sampled_weight(problem, factor):
    """With a MAGNet, window and generator share the work: what must be right is the kernel that is applied."""
    # In 2-D a quarter of the width is less than a sample: with the default crop nothing beyond 3x3 taps has a
    # gradient and the fit stays there, whatever the rates; a lower threshold keeps the taps that let it grow.
    options = {"steps": 400, "threshold": 0.01} if problem is PLANE else {"steps": 250}
    layer, loss = fitted(problem, factor, MAGNet(hidden=16), lr=0.02, **options)
    assert extent(layer.weight, problem.causal) == pytest.approx(extent(problem.kernel(), problem.causal), rel=0.1)
    assert loss < 0.05


def test_extent_measures_what_was_planted():
    for problem in (LINE, CAUSAL, PLANE):
        # The energy of a Gaussian is a Gaussian narrower by sqrt(2).
        expected = [s / 2**0.5 for s in samples(problem, problem.width)]
        assert extent(problem.kernel(), problem.causal) == pytest.approx(expected, rel=0.05)
