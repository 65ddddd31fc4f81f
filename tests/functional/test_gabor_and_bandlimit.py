"""Gabor atoms against scalar arithmetic; closed-form frequencies against the spectrum and the authors' arrays."""

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


def atoms(dims, count=4, isotropic=False):
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    return draw(count, dims), draw(count), draw(count, 1 if isotropic else dims), draw(count, dims)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("isotropic", [False, True])
def test_atoms_are_the_formula(dims, isotropic):
    points = torch.randn(dims, 6, dtype=torch.float64)
    parameters = atoms(dims, isotropic=isotropic)
    expected = torch.tensor([oracles.gabor(p, *parameters) for p in points.T], dtype=torch.float64).T
    assert_matches(gabor_atoms(points, *parameters), expected)


def test_rotated_atoms_are_the_formula():
    points, angle = torch.randn(2, 6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    parameters = atoms(2)
    expected = torch.tensor([oracles.gabor(p, *parameters, angle) for p in points.T], dtype=torch.float64).T
    assert_matches(gabor_atoms(points, *parameters, angle), expected)


def test_a_turn_of_a_quarter_exchanges_the_axes():
    _, _, gamma, mu = atoms(2)
    points = torch.randn(2, 5, dtype=torch.float64)
    turned = gabor_envelope(points, gamma, mu, torch.full((4,), math.pi / 2, dtype=torch.float64))
    assert_matches(turned, gabor_envelope(points, gamma.flip(1), mu))


def test_leading_axes_are_independent_filters():
    points = torch.randn(2, 5, dtype=torch.float64)
    stacks = [atoms(2) for _ in range(3)]
    together = gabor_atoms(points, *(torch.stack(part) for part in zip(*stacks, strict=True)))
    assert_matches(together, torch.stack([gabor_atoms(points, *parameters) for parameters in stacks]))


def test_gradients():
    points = torch.randn(2, 3, dtype=torch.float64)
    arguments = tuple(a.requires_grad_() for a in (points, *atoms(2, 2), torch.randn(2).double()))
    assert torch.autograd.gradcheck(gabor_atoms, arguments)


def test_frequency_of_a_sine_is_where_its_spectrum_peaks():
    weight = torch.tensor([[2 * math.pi * 4.0]], dtype=torch.float64)  # 4 cycles per unit
    points = torch.arange(512, dtype=torch.float64)[None] / 64  # 8 units, 64 samples a unit
    spectrum = torch.fft.rfft(sine_atoms(points, weight, torch.zeros(1).double())[0]).abs()
    assert spectrum.argmax().item() / 8 == sine_frequency(weight).item() == 4.0


def test_gaussian_cut_off_is_one_deviation_of_its_spectrum():
    gamma = 3.0
    x = torch.linspace(-8, 8, 4096, dtype=torch.float64)[None]
    spectrum = torch.fft.rfft(gabor_envelope(x, torch.tensor([[gamma]]), torch.zeros(1, 1))[0]).abs()
    spectrum[0] /= 2  # half of the spectrum is seen, and zero frequency has no other half
    frequency = torch.fft.rfftfreq(4096, d=16 / 4095, dtype=torch.float64)
    deviation = ((spectrum * frequency**2).sum() / spectrum.sum()).sqrt()
    assert deviation.item() == pytest.approx(gaussian_frequency(torch.tensor(gamma)).item(), rel=1e-3)


def test_signs_do_not_matter_and_deviations_scale():
    weight, gamma = torch.randn(4, 2).double(), torch.randn(4, 2).double()
    one, two = gabor_frequency(weight, gamma, 1.0), gabor_frequency(-weight, -gamma, 2.0)
    assert_matches(two - one, gamma.abs() / (2 * math.pi))


@pytest.mark.parametrize(("length", "expected"), [(17, 4.0), (33, 8.0), (2, 0.25), (1, 0.0)])
def test_nyquist_of_a_grid(length, expected):
    assert nyquist(length) == expected


def test_frequencies_of_the_authors_code_per_unit():
    golden = load_golden("bandlimit.npz")
    for index in range(2):
        weight, gamma = (
            torch.stack([golden[f"layer{index}_filter{i}_{name}"] for i in range(4)]) for name in ("weight", "gamma")
        )
        for h, stddevs in enumerate(golden["gauss_stddevs"].tolist()):
            ours = gabor_frequency(weight, gamma, stddevs)
            assert_matches(ours, golden[f"layer{index}_unit_frequency"][h])
            assert_matches(ours.flatten(1).amax(1), golden["filter_frequency_per_unit"][index, h])
            mask = gaussian_frequency(1 / golden[f"layer{index}_mask_sigma"], stddevs).max()
            assert_matches(mask, golden["mask_frequency"][index, h])
    assert golden["nyquist"].tolist() == [nyquist(k) for k in golden["resolution"].tolist()]


def test_frequency_belongs_to_one_atom():
    # The authors' code adds the largest |W| and the largest gamma of different atoms.
    golden = load_golden("bandlimit.npz")
    assert (golden["filter_frequency_per_unit"] <= golden["filter_frequency"] + 1e-12).all()
    assert (golden["filter_frequency_per_unit"] < golden["filter_frequency"] - 1e-3).any()
    weight, gamma = torch.tensor([[10.0], [1.0]]), torch.tensor([[1.0], [10.0]])
    assert gabor_frequency(weight, gamma).max().item() == pytest.approx(11 / (2 * math.pi))
