"""Gabor atoms against scalar arithmetic; closed-form frequencies against spectra and the authors' results."""

import math

import pytest
import torch

import oracles
from flexkern.functional import (
    gabor_atoms,
    gabor_envelope,
    gabor_frequency,
    gaussian_frequency,
    nyquist,
    sine_atoms,
    sine_frequency,
)
from golden import load_golden
from tolerances import assert_matches


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def draw_atoms(dims, count=4, isotropic=False):
    """Return weight, bias, gamma and mu of ``count`` atoms."""
    weight = draw(count, dims)
    bias = draw(count)
    gamma = draw(count, 1 if isotropic else dims)
    mu = draw(count, dims)
    return weight, bias, gamma, mu


def loop_atoms(points, *parameters):
    """Return the oracle's values of all atoms at all points, shape (H, P)."""
    values = [oracles.gabor(point, *parameters) for point in points.T]
    return torch.tensor(values, dtype=torch.float64).T


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("isotropic", [False, True])
def test_atoms_equal_the_formula(dims, isotropic):
    points = draw(dims, 6)
    parameters = draw_atoms(dims, isotropic=isotropic)
    assert_matches(gabor_atoms(points, *parameters), loop_atoms(points, *parameters))


def test_rotated_atoms_equal_the_formula():
    points = draw(2, 6)
    angle = draw(4)
    parameters = draw_atoms(2)
    assert_matches(gabor_atoms(points, *parameters, angle), loop_atoms(points, *parameters, angle))


def test_a_quarter_rotation_exchanges_the_axes():
    _, _, gamma, mu = draw_atoms(2)
    points = draw(2, 5)
    quarter = torch.full((4,), math.pi / 2, dtype=torch.float64)
    rotated = gabor_envelope(points, gamma, mu, quarter)
    assert_matches(rotated, gabor_envelope(points, gamma.flip(1), mu))


def test_leading_axes_are_independent_filters():
    points = draw(2, 5)
    filters = [draw_atoms(2) for _ in range(3)]
    stacked = [torch.stack(tensors) for tensors in zip(*filters, strict=True)]
    separate = [gabor_atoms(points, *parameters) for parameters in filters]
    assert_matches(gabor_atoms(points, *stacked), torch.stack(separate))


def test_gradients():
    points, angle = draw(2, 3), draw(2)
    arguments = [points, *draw_atoms(2, 2), angle]
    for argument in arguments:
        argument.requires_grad_()
    assert torch.autograd.gradcheck(gabor_atoms, tuple(arguments))


def test_frequency_of_a_sine_is_where_its_spectrum_peaks():
    weight = torch.tensor([[2 * math.pi * 4.0]], dtype=torch.float64)  # 4 cycles per unit
    points = torch.arange(512, dtype=torch.float64)[None] / 64  # 8 units, 64 samples per unit
    wave = sine_atoms(points, weight, torch.zeros(1).double())[0]
    spectrum = torch.fft.rfft(wave).abs()
    assert spectrum.argmax().item() / 8 == sine_frequency(weight).item() == 4.0


def test_gaussian_cut_off_is_one_standard_deviation_of_its_spectrum():
    gamma = torch.tensor(3.0)
    x = torch.linspace(-8, 8, 4096, dtype=torch.float64)[None]
    envelope = gabor_envelope(x, gamma.view(1, 1), torch.zeros(1, 1))[0]
    spectrum = torch.fft.rfft(envelope).abs()
    spectrum[0] /= 2  # rfft returns half of the spectrum, of which frequency zero has no second half
    frequency = torch.fft.rfftfreq(4096, d=16 / 4095, dtype=torch.float64)
    variance = (spectrum * frequency**2).sum() / spectrum.sum()
    assert variance.sqrt().item() == pytest.approx(gaussian_frequency(gamma).item(), rel=1e-3)


def test_frequencies_ignore_signs_and_grow_with_the_cut_off():
    weight, gamma = draw(4, 2), draw(4, 2)
    at_one = gabor_frequency(weight, gamma, 1.0)
    at_two = gabor_frequency(-weight, -gamma, 2.0)
    assert_matches(at_two - at_one, gamma.abs() / (2 * math.pi))


@pytest.mark.parametrize(("length", "expected"), [(17, 4.0), (33, 8.0), (2, 0.25), (1, 0.0)])
def test_nyquist_of_a_grid(length, expected):
    assert nyquist(length) == expected


@pytest.mark.parametrize("layer", [0, 1])
def test_frequencies_of_the_authors_code_per_atom(layer):
    golden = load_golden("bandlimit.npz")
    weight = torch.stack([golden[f"layer{layer}_filter{i}_weight"] for i in range(4)])
    gamma = torch.stack([golden[f"layer{layer}_filter{i}_gamma"] for i in range(4)])
    inverse_width = 1 / golden[f"layer{layer}_mask_sigma"]
    for h, stddevs in enumerate(golden["gauss_stddevs"].tolist()):
        frequencies = gabor_frequency(weight, gamma, stddevs)
        assert_matches(frequencies, golden[f"layer{layer}_unit_frequency"][h])
        assert_matches(frequencies.flatten(1).amax(1), golden["filter_frequency_per_unit"][layer, h])
        window_frequency = gaussian_frequency(inverse_width, stddevs).max()
        assert_matches(window_frequency, golden["mask_frequency"][layer, h])


def test_nyquist_of_the_authors_code():
    golden = load_golden("bandlimit.npz")
    assert golden["nyquist"].tolist() == [nyquist(k) for k in golden["resolution"].tolist()]


def test_the_bound_is_that_of_a_single_atom():
    # The authors' code adds the largest |W| and the largest gamma, which may be of different atoms.
    golden = load_golden("bandlimit.npz")
    ours, theirs = golden["filter_frequency_per_unit"], golden["filter_frequency"]
    assert (ours <= theirs + 1e-12).all()
    assert (ours < theirs - 1e-3).any()
    weight = torch.tensor([[10.0], [1.0]])
    gamma = torch.tensor([[1.0], [10.0]])
    assert gabor_frequency(weight, gamma).max().item() == pytest.approx(11 / (2 * math.pi))
