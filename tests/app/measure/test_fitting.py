"""Kernel fitting: targets, equal parameters, error and rate of fits, what the command prints and refuses."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from flexkern import SIREN
from flexkern.app.cli.main import main
from flexkern.app.data.kernel_targets import gabor_target, read_target
from flexkern.app.measure.fitting import fit_all, fit_kernel, peak_ratio, steps_to
from flexkern.app.measure.kernel_networks import FAMILIES, sized_net
from flexkern.functional import make_grid


def test_gabor_targets():
    found = gabor_target(3.0, 9)
    for i, j in ((0, 0), (4, 4), (2, 7), (8, 1)):
        y, x = -1 + i / 4, -1 + j / 4
        wave = math.cos(2 * math.pi * 3 * (x + y) / math.sqrt(2))
        assert found[i, j].item() == pytest.approx(math.exp(-(x * x + y * y) / 0.32) * wave, abs=1e-5)
    assert torch.equal(read_target("gabor:3", size=9), found)


def test_random_targets_depend_on_the_seed():
    assert torch.equal(read_target("random", seed=1), read_target("random", seed=1))
    assert not torch.equal(read_target("random", seed=1), read_target("random", seed=2))
    assert read_target("random", size=7).shape == (7, 7)


def test_files(tmp_path):
    array = np.arange(12, dtype="int64").reshape(3, 4)
    np.save(tmp_path / "kernel.npy", array)
    assert read_target(str(tmp_path / "kernel.npy")).tolist() == array.tolist()
    Image.new("RGB", (40, 20), (255, 255, 255)).save(tmp_path / "white.png")
    assert torch.equal(read_target(str(tmp_path / "white.png"), size=8), torch.ones(8, 8))


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"no image", "photo.png", "photo.png is not a readable image"),
        (b"no array", "kernel.npy", "kernel.npy is not a readable .npy file"),
        (np.zeros((2, 2), dtype=complex), "kernel.npy", "must contain real numbers along one to three axes"),
        (np.zeros((1, 1, 1, 2)), "kernel.npy", "must contain real numbers along one to three axes"),
        (np.array([1.0, np.nan]), "kernel.npy", "must contain finite numbers"),
    ],
)
def test_unreadable_files(tmp_path, content, name, message):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(ValueError, match=message):
        read_target(str(path))


@pytest.mark.parametrize("target", ["gabor:", "gabor:x", "gabor:-1", "gabor:inf"])
def test_gabor_frequencies(target):
    with pytest.raises(ValueError, match="a Gabor target must have a frequency in Hz"):
        read_target(target)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("shape", "parameters"), [((33, 33), 1000), ((64,), 300), ((5, 6, 7), 500)])
def test_contestants_have_about_as_many_parameters(name, shape, parameters):
    count = sum(p.numel() for p in sized_net(name, shape, parameters).parameters())
    assert 0.8 * parameters < count <= parameters
    assert sized_net(name, shape, parameters)(make_grid(shape)).shape == (1, *shape)


def test_too_few_parameters_and_unknown_names():
    with pytest.raises(ValueError, match="`parameters` 3 is too few for MAGNet"):
        sized_net("MAGNet", (9, 9), 3)
    with pytest.raises(ValueError, match="unknown contestant `magnt`; known: MAGNet, "):
        sized_net("magnt", (9, 9), 100)


def test_the_range_is_that_of_the_target():
    assert peak_ratio(torch.tensor([-3.0, 1.0]), 0.16) == pytest.approx(20.0)
    assert peak_ratio(torch.tensor([2.0, 2.0]), 0.01) == pytest.approx(20.0)  # a constant has none: 1
    assert peak_ratio(torch.tensor([0.0, 1.0]), 0.0) == 200.0
    assert peak_ratio(torch.tensor([0.0, 1.0]), math.nan) == peak_ratio(torch.tensor([0.0, 1.0]), math.inf) == -200.0


def test_a_fit_is_what_it_says():
    target = gabor_target(2.0, 17)
    fit = fit_all(target, 500, only=["SIREN"], steps=150, rates=(1e-3, 1e-2))["SIREN"]
    assert fit.psnr > 25
    assert fit.mse == pytest.approx((fit.values - target).square().mean().item(), rel=1e-5)
    assert fit.psnr == pytest.approx(peak_ratio(target, fit.mse))
    assert fit.curve[-1] == (150, fit.mse)
    assert [step for step, _ in fit.curve] == sorted({step for step, _ in fit.curve})
    assert steps_to(fit, 20, target) <= steps_to(fit, 25, target)
    assert steps_to(fit, 150, target) is None
    again = fit_all(target, 500, only=["SIREN"], steps=150, rates=[fit.rate])["SIREN"]
    assert again.mse == fit.mse


def test_fitting_leaves_the_generator_of_random_numbers_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit_all(gabor_target(2.0, 9), 200, only=["SIREN"], steps=2, rates=[1e-2])
    assert torch.equal(torch.get_rng_state(), before)


def test_scale_and_offset_of_a_target_do_not_matter():
    target = gabor_target(2.0, 9)
    one, other = (fit_all(t, 300, only=["MAGNet"], steps=40, rates=[1e-2]) for t in (target, 50 * target - 7))
    assert other["MAGNet"].psnr == pytest.approx(one["MAGNet"].psnr, abs=0.1)


def test_the_command(tmp_path, capsys):
    out, figure = tmp_path / "fits.json", tmp_path / "fits.png"
    words = ["--only", "MAGNet,points", "--steps", "20", "--rates", "1e-2", "--size", "9", "--parameters", "200"]
    assert main(["fit-kernel", "gabor:2", *words, "--out", str(out), "--figure", str(figure)]) == 0
    printed = capsys.readouterr().out
    assert "network" in printed
    result, stored = json.loads(printed.splitlines()[-1]), json.loads(out.read_text())
    assert set(result["fits"]) == {"MAGNet", "points"}
    assert stored["fits"] == result["fits"]
    assert {"command", "commit", "machine", "versions"} < set(stored)
    with Image.open(figure) as image:
        assert image.size[0] > 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.png"], "no target `nowhere.png`: give gabor:F, random, a .npy file or an image"),
        (["gabor:4", "--only", "sirn"], "unknown contestant `sirn`"),
        (["gabor:4", "--steps", "0"], "`steps` and `rates` must be positive"),
        (["gabor:4", "--rates", "fast"], "`--rates` must be numbers"),
        (["gabor:4", "--size", "1"], "`size` must be at least 2"),
        (["gabor:4", "--parameters", "2"], "`parameters` 2 is too few"),
        (["gabor:4", "--figure", "fits.xyz"], "fits.xyz must end in .png, .svg, .pdf"),
        (["random", "--only", "MLP", "--rates", "1e30", "--steps", "9"], "the error is not finite with any of `rates`"),
    ],
)
def test_user_errors(words, message, capsys):
    assert main(["fit-kernel", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_array_is_called_by_its_name(tmp_path, capsys):
    np.save(tmp_path / "kernel.npy", np.eye(3))
    words = ["--only", "points", "--steps", "1", "--parameters", "9"]
    assert main(["fit-kernel", str(tmp_path / "kernel.npy"), *words]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["target"] == "kernel.npy"


def test_a_target_must_be_finite():
    with pytest.raises(ValueError, match="`target` must contain finite numbers"):
        fit_kernel(lambda: SIREN(1, 1, hidden=4), torch.tensor([0.0, torch.nan]), steps=1)
