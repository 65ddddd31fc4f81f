"""The comparison of kernel networks: the N-Jet, its rows, how it continues, and seeds that diverge."""

import json
import math

import pytest
import torch
from PIL import Image

from experiments.__main__ import main
from experiments.kernel_fitting import run as kernel_fitting
from experiments.kernel_fitting.jet import Jet
from flexkern.app.measure.kernel_networks import sized_net
from flexkern.functional import make_grid
from tolerances import assert_matches


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two images, and settings so small that a fit takes no time."""
    for number in range(2):
        Image.new("L", (12, 12), number * 90).save(tmp_path / f"{number}.png")
    shrink(monkeypatch, SYNTHETIC=("gabor:2",))
    return tmp_path


def shrink(monkeypatch, **values):
    for name, value in {"STEPS": 4, "BUDGETS": (200,), "SIZE": 9, **values}.items():
        monkeypatch.setattr(kernel_fitting, name, value)


def command(images, out, *words):
    return main(["kernel-fitting", "--data-dir", str(images), "--out", str(out), *words])


def read_rows(out):
    return json.loads(out.read_text())["rows"]


@pytest.mark.parametrize(("shape", "parameters"), [((33, 33), 1000), ((64,), 300), ((5, 6, 7), 500)])
def test_jets_have_at_most_the_parameters(shape, parameters):
    jet = sized_net("N-Jet", shape, parameters, kernel_fitting.FAMILIES)
    assert sum(p.numel() for p in jet.parameters()) <= parameters
    assert jet(make_grid(shape)).shape == (1, *shape)


def test_jets_are_derivatives_of_a_gaussian():
    jet = Jet(1, 1, order=3).double()
    x = torch.linspace(-1, 1, 7, dtype=torch.float64, requires_grad=True)
    sigma = jet.log_sigma.detach().exp()
    value = torch.exp(-0.5 * (x / sigma) ** 2)
    for order in range(4):
        norm = sigma**order / math.sqrt(math.factorial(order))
        assert_matches(jet.features_at(x[None])[order], (value * norm).detach(), 1e-9)
        (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)


def test_rows(images, capsys):
    out = images / "fits.json"
    assert command(images, out, "--only", "MAGNet,SIREN", "--seeds", "0,1") == 0
    assert "gabor:2" in capsys.readouterr().out
    rows = read_rows(out)
    assert [(row["target"], row["network"]) for row in rows[:2]] == [("gabor:2", "MAGNet"), ("gabor:2", "SIREN")]
    assert [row["target"] for row in rows[2::2]] == ["0.png", "1.png"]
    assert len(rows[0]["psnr"]) == 2


def test_continues_with_missing_rows(images, monkeypatch, capsys):
    shrink(monkeypatch, SYNTHETIC=("gabor:2", "random"))
    out = images / "fits.json"
    assert command(images, out, "--seeds", "0", "--only", "SIREN") == 0
    rows = read_rows(out)
    capsys.readouterr()
    assert command(images, out, "--seeds", "0", "--only", "SIREN,points") == 0
    assert "parameters, SIREN" not in capsys.readouterr().out
    assert [row["network"] for row in read_rows(out)] == ["SIREN"] * 4 + ["points"] * 4
    assert read_rows(out)[:4] == rows
    assert command(images, out, "--seeds", "0,1") == 2
    assert "results of other settings: `seeds` must be [0, 1], got [0]" in capsys.readouterr().err


def test_a_seed_that_diverges_is_a_result(monkeypatch):
    """The rate was the best of another seed; the row has the failure, and others follow."""
    fit = kernel_fitting.fit_kernel

    def fails(*arguments, seed, **options):
        if seed:
            raise ValueError("the error is not finite with any of `rates`")
        return fit(*arguments, seed=seed, **options)

    monkeypatch.setattr(kernel_fitting, "fit_kernel", fails)
    monkeypatch.setattr(kernel_fitting, "STEPS", 4)
    row = kernel_fitting._row("points", torch.eye(5), 50, [0, 1])
    assert row["psnr"][0] > 0
    assert row["psnr"][1] == -200


def test_images_of_one_name_are_distinguished(tmp_path, monkeypatch):
    shrink(monkeypatch, STEPS=2, SYNTHETIC=(), IMAGES=1)
    counts = []
    for shade in (0, 0, 90):
        folder = tmp_path / str(shade)
        folder.mkdir(exist_ok=True)
        Image.new("L", (12, 12), shade).save(folder / "a.png")
        assert command(folder, tmp_path / "o.json", "--seeds", "0", "--only", "points") == 0
        counts.append(len(read_rows(tmp_path / "o.json")))
    assert counts == [1, 1, 2]


def test_an_unknown_contestant_is_refused_at_once(images, capsys):
    assert command(images, images / "o.json", "--only", "MAGNet,nobody") == 2
    printed = capsys.readouterr()
    assert "unknown contestant `nobody`; known: MAGNet" in printed.err
    assert not printed.out
