"""The alias penalty: the authors' numbers, its gradient and errors; spectra of known kernels."""

import itertools
import math

import pytest
import torch
from torch import nn

import flexkern
from flexkern import alias_penalty, alias_report
from flexkern.analysis import spectrum
from flexkern.analysis.spectrum import energy_above_nyquist
from golden import load_golden
from tolerances import assert_matches

METHODS, STDDEVS, RESOLUTIONS = ("together", "summed"), (1.0, 2.0), (17, 33)


@pytest.fixture
def golden():
    return load_golden("bandlimit.npz")


@pytest.fixture
def layers(golden):
    """The two layers of the golden file."""
    made = nn.ModuleList()
    for index in range(2):
        layer = flexkern.FlexConv2d(1, 2, 33, generator=flexkern.MAGNet(hidden=8), dtype=torch.float64)
        with torch.no_grad():
            for filter_ in range(4):
                layer.generator.wave_vector[filter_] = golden[f"layer{index}_filter{filter_}_weight"]
                layer.generator.gamma[filter_] = golden[f"layer{index}_filter{filter_}_gamma"]
            layer.window.set_width(golden[f"layer{index}_mask_sigma"].abs())
        made.append(layer)
    return made


@pytest.mark.parametrize(("method", "window"), [*itertools.product(METHODS, (False, True))])
def test_penalties_of_the_authors(layers, golden, method, window):
    for (a, stddevs), (b, resolution) in itertools.product(enumerate(STDDEVS), enumerate(RESOLUTIONS)):
        options = {"method": method, "window": window, "stddevs": stddevs, "bound": "separate"}
        place = (METHODS.index(method), int(window), a, b)
        found = alias_penalty(layers, resolution, **options)
        assert found.item() == pytest.approx(golden["loss_l2_relu"][place].item(), rel=1e-9)
        for index, layer in enumerate(layers):
            one = golden["loss_l2_relu_per_layer"][(index, *place)].item()
            assert alias_penalty(layer, resolution, **options).item() == pytest.approx(one, rel=1e-9)


@pytest.mark.parametrize(("method", "window"), [*itertools.product(METHODS, (False, True))])
def test_penalties_of_the_bound_per_atom(layers, golden, method, window):
    for (a, stddevs), resolution in itertools.product(enumerate(STDDEVS), RESOLUTIONS):
        filters, masks = golden["filter_frequency_per_unit"][:, a], golden["mask_frequency"][:, a] * window
        excess = filters + (masks[:, None] - (resolution - 1) / 4) / 4
        excess = excess.sum(1) if method == "summed" else excess
        found = alias_penalty(layers, resolution, method=method, window=window, stddevs=stddevs)
        assert found.item() == pytest.approx(excess.clamp_min(0).square().sum().item(), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_the_authors(layers, golden, method):
    alias_penalty(layers, 17, method=method, bound="separate").backward()
    for index, layer in enumerate(layers):
        for ours, theirs in (("wave_vector", "weight"), ("gamma", "gamma")):
            expected = [golden[f"layer{index}_grad_{method}_filter{i}_{theirs}"] for i in range(4)]
            assert_matches(getattr(layer.generator, ours).grad, torch.stack(expected), 1e-9)
        floor = torch.tensor(layer.window.min_width, dtype=torch.float64)
        slope = layer.window.width.detach() - floor  # of a width in its logarithm
        signs = golden[f"layer{index}_mask_sigma"].sign()
        assert_matches(
            layer.window.log_width.grad, golden[f"layer{index}_grad_{method}_mask_sigma"] * signs * slope, 1e-9
        )


def test_generators_of_all_kinds_in_one_model():
    layers = [
        flexkern.FlexConv2d(1, 2, size, generator=generator)
        for size in (9, (1, 9))
        for generator in ("magnet", "gabornet", "fouriernet", flexkern.MAGNet(rotated=True))
    ]
    apart = sum(alias_penalty(layer).item() for layer in layers)
    assert alias_penalty(nn.ModuleList(layers)).item() == pytest.approx(apart, rel=1e-5)


def test_the_bound_per_atom_is_the_tighter(layers):
    assert alias_penalty(layers, 17) < alias_penalty(layers, 17, bound="separate")


def test_by_default_each_layer_is_held_against_its_own_grid():
    coarse, fine = (flexkern.FlexConv2d(1, 2, k, generator=flexkern.MAGNet(input_scale=9.0)) for k in (17, 33))
    both = alias_penalty(nn.ModuleList([coarse, fine])).item()
    assert both == pytest.approx((alias_penalty(coarse, 17) + alias_penalty(fine, 33)).item(), rel=1e-5)
    assert alias_penalty(flexkern.at_resolution(coarse, 2.0)).item() == pytest.approx(
        alias_penalty(coarse, 33).item(), rel=1e-5
    )


def test_axes_are_held_against_their_own_limit():
    layer = flexkern.CKConv2d(1, 2, (33, 5), generator=flexkern.FourierNet(layers=0, hidden=1))
    with torch.no_grad():
        layer.generator.wave_vector.copy_(torch.tensor([[[7.9, 1.2]]]) * 2 * math.pi)
    assert alias_penalty(layer).item() == pytest.approx(0.2**2, rel=1e-4)  # the limits are 8 and 1 Hz


@pytest.mark.parametrize("generator", ["magnet", "gabornet", "fouriernet", flexkern.MAGNet(rotated=True)])
@pytest.mark.parametrize("layer", [flexkern.FlexConv2d, flexkern.CKConv2d])
@pytest.mark.parametrize("kernel_size", [33, 5, (33, 9), (1, 17)])
def test_kernels_start_below_nyquist(generator, layer, kernel_size):
    made = layer(2, 3, kernel_size, padding="same", generator=generator)
    assert alias_penalty(made, window=False).item() == pytest.approx(0, abs=1e-9)
    used = [n for n, k in zip(made.grid.nyquist, made.grid.lengths, strict=True) if k > 1]
    assert made.generator.bandwidth(2.0).item() > 0.5 * min(used)  # the room is used


@pytest.mark.parametrize(
    "make", [lambda: flexkern.FlexConv1d(1, 2, 784, causal=True), lambda: flexkern.FlexConv3d(1, 2, 9)]
)
def test_kernels_of_other_dimensions_start_below_nyquist(make):
    assert alias_penalty(make(), window=make().dims == 1).item() < 1e-9


def test_the_authors_initialisation_starts_far_above():
    torch.manual_seed(0)
    report = alias_report(flexkern.FlexConv2d(24, 24, 33, generator=flexkern.MAGNet(input_scale=25.6)), stddevs=1.0)[""]
    assert 4 < report.bound / report.nyquist < 7
    assert report.window == pytest.approx(2.1221, abs=1e-4)


def test_descent_on_the_penalty_ends_below_nyquist():
    torch.manual_seed(0)
    layer = flexkern.FlexConv2d(1, 4, 17, generator=flexkern.MAGNet(hidden=4, layers=1, input_scale=16.0))
    assert alias_penalty(layer, window=False).item() > 1
    optimiser = torch.optim.SGD(layer.generator.parameters(), 0.5)
    for _ in range(1000):
        optimiser.zero_grad()
        alias_penalty(layer, window=False).backward()
        optimiser.step()
    assert alias_penalty(layer, window=False).item() < 1e-3


def test_a_penalised_kernel_holds_its_energy_below_nyquist():
    """Trained on noise, which asks for every frequency."""
    torch.manual_seed(0)
    x, y = torch.randn(4, 1, 16, 16), torch.randn(4, 4, 16, 16)
    found = []
    for weight in (0.0, 1.0):
        layer = flexkern.FlexConv2d(1, 4, 17, padding="same", init_size=9)
        optimiser = torch.optim.Adam(layer.parameters(), 0.01)
        for _ in range(150):
            optimiser.zero_grad()
            ((layer(x) - y).square().mean() + weight * alias_penalty(layer)).backward()
            optimiser.step()
        found.append(energy_above_nyquist(layer))
    assert found[1] < min(0.01, found[0])


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(1, 1, 3), lambda: flexkern.FlexConv2d(1, 1, 9, generator="siren")])
def test_models_without_a_bound_are_refused(make):
    with pytest.raises(ValueError, match="no layer whose bandwidth is known"):
        alias_penalty(make())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "apart"}, "`method` must be one of together, summed, got 'apart'"),
        ({"bound": "tight"}, "`bound` must be one of atom, separate, got 'tight'"),
        ({"resolution": 1}, "`resolution` must be at least 2"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        alias_penalty(flexkern.FlexConv2d(1, 1, 9), **options)


def test_the_penalty_compiles_into_one_graph():
    layer = flexkern.FlexConv2d(1, 4, 17, generator=flexkern.MAGNet(input_scale=9.0))
    compiled = torch.compile(lambda: alias_penalty(layer), fullgraph=True, backend="eager")
    assert torch.equal(compiled(), alias_penalty(layer))


# The measurement


def _wave_layer(frequency: float, dims: int = 1) -> nn.Module:
    """Return a kernel that is one wave of a known frequency under a wide window."""
    cls = {1: flexkern.FlexConv1d, 2: flexkern.FlexConv2d}[dims]
    window = flexkern.GaussianWindow(width=0.3, threshold=1e-4)
    layer = cls(1, 1, 33, window=window, generator=flexkern.FourierNet(layers=0, hidden=1), dtype=torch.float64)
    with torch.no_grad():
        layer.generator.wave_vector.zero_()
        layer.generator.wave_vector[..., 0] = 2 * math.pi * frequency
        layer.generator.readout_weight.fill_(1.0)
    return layer


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize(("frequency", "share"), [(2.0, 0.0), (6.5, 0.0), (9.5, 1.0), (30.0, 1.0)])
def test_energy_of_a_wave(dims, frequency, share):
    assert energy_above_nyquist(_wave_layer(frequency, dims)) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("generator", ["magnet", "table"])
def test_factors_and_whole_kernels_give_one_answer(generator):
    torch.manual_seed(1)
    layer = flexkern.FlexConv2d(2, 3, 9, generator=generator, init_size=5)
    per_channel = flexkern.FlexConv2d(
        2, 3, 9, generator=generator, window=flexkern.GaussianWindow(per_channel=True), init_size=None
    )
    per_channel.generator.load_state_dict(layer.generator.state_dict())
    with torch.no_grad():
        per_channel.window.set_width(layer.window.width.expand(3, 2))
    assert energy_above_nyquist(per_channel) == pytest.approx(energy_above_nyquist(layer), rel=1e-4)


def test_axes_of_one_sample_have_no_frequencies():
    assert energy_above_nyquist(flexkern.CKConv2d(1, 1, 1)) == 0.0
    torch.manual_seed(0)
    line, flat = flexkern.FlexConv1d(1, 4, 33), flexkern.FlexConv2d(1, 4, (1, 33))
    with torch.no_grad():
        for name, value in line.generator.named_parameters():
            target = flat.generator.get_parameter(name)
            if value.shape == target.shape:
                target.copy_(value)
            else:  # along the first axis the kernel is constant
                target.zero_()
                target[..., 1:] = value
    assert energy_above_nyquist(flat) == pytest.approx(energy_above_nyquist(line), rel=0.3)  # half as fine
    report = alias_report(flat)[""]
    assert report.nyquist == 8.0
    assert report.generator == pytest.approx(alias_report(line)[""].generator, rel=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: flexkern.FlexConv1d(1, 2, 64, causal=True), lambda: flexkern.FlexConv1d(1, 2, 32)]
)
def test_causal_and_even_kernels_are_measured(make):
    torch.manual_seed(0)
    layer = make()
    assert 0 < energy_above_nyquist(layer) < 0.2
    finer = energy_above_nyquist(flexkern.at_resolution(layer, 4.0))
    assert finer < energy_above_nyquist(layer)


def test_large_kernels_are_measured_on_a_less_fine_grid(monkeypatch):
    layer = _wave_layer(6.5, 2)
    expected = energy_above_nyquist(layer)
    monkeypatch.setattr(spectrum, "LARGEST", 2**14)
    assert energy_above_nyquist(layer) == pytest.approx(expected, abs=1e-3)


def test_reports_of_layers_without_a_bound():
    net = nn.Sequential(flexkern.CKConv1d(1, 2, 9, generator="siren"), flexkern.FlexConv1d(2, 2, 9))
    report = alias_report(net)
    assert list(report) == ["0", "1"]
    assert report["0"].bound is None
    assert report["0"].window is None
    assert 0 <= report["0"].energy_above <= 1
    with pytest.raises(ValueError, match="no layer with a continuous kernel"):
        alias_report(nn.Linear(1, 1))
