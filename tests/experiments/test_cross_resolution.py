"""Cross-resolution: the data at both resolutions, every network there and back, the command that continues."""

import json

import pytest
import torch

from experiments.__main__ import main
from experiments.common import by_engines
from experiments.common import cross_resolution as common
from experiments.common.cross_resolution import NETS, PENALTIES, CrossTask, cross_samples, penalty_of
from experiments.cross_resolution import run as cross_resolution
from flexkern import alias_penalty
from flexkern.engines import convolve
from tiny import write_tiny_npz

TASK = CrossTask("npz", side=16, epochs=1, tuning=1, train=60)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_resolution, "TASK", TASK)
    return write_tiny_npz(tmp_path / "squares.npz", side=16)


def command(data, out, only, *words):
    return main(["cross-resolution", "--data-dir", str(data), "--out", str(out), "--only", only, *words])


def test_samples_at_both_resolutions(data):
    samples = cross_samples(TASK, str(data))
    whole = samples["whole"]["train"].x
    assert whole.shape == (60, 1, 16, 16)
    assert samples["half"]["train"].x.shape[1:] == (1, 8, 8)
    assert whole.mean().abs() < 0.1  # of all 81
    assert whole.std().item() == pytest.approx(1, abs=0.1)
    means = [samples[resolution]["test"].x.mean((2, 3)) for resolution in ("half", "whole")]
    assert torch.allclose(*means, atol=1e-5)


def test_networks_of_kernel_nets_have_equal_parameters():
    counts = []
    for name, make in NETS.items():
        if name.startswith("FlexNet") or name == "N-Jet":
            counts.append(sum(p.numel() for p in make(1, 10, 14).parameters()))
    assert max(counts) < 1.1 * min(counts)


@pytest.mark.parametrize("name", NETS)
def test_every_network_changes_resolution(name):
    net = NETS[name](1, 10, 8).eval()
    for plain in ("keep", "enlarge"):
        changed = common.at_resolution(net, 2.0, plain=plain)
        assert changed(torch.zeros(2, 1, 16, 16)).shape == (2, 10)


def test_thrice_the_penalty_is_thrice_the_penalty():
    net = NETS["FlexNet authors' initialisation"](1, 10, 14)
    once, thrice = (penalty_of(name)(net) for name in PENALTIES)
    assert once.item() == pytest.approx(0.1 * alias_penalty(net).item())
    assert thrice.item() == pytest.approx(3 * once.item())
    assert penalty_of("FlexNet") is None


def test_engines_compute_only_wide_ordinary_convolutions(data, tmp_path, monkeypatch):
    sizes = []

    def spied(x, weight, *args, **kwargs):
        sizes.append(tuple(weight.shape[2:]))
        return convolve(x, weight, *args, **kwargs)

    monkeypatch.setattr(by_engines, "convolve", spied)
    assert command(data, tmp_path / "narrow.json", "conv 3x3", "--seeds", "0") == 0
    assert not sizes
    assert command(data, tmp_path / "wide.json", "conv horizon", "--seeds", "0") == 0
    assert {(9, 9), (17, 17)} <= set(sizes)  # trained at 8 pixels, enlarged for 16


def test_continues_with_missing_runs(data, tmp_path, capsys):
    out = tmp_path / "cross.json"
    only = "FlexNet with penalty,conv 3x3"
    assert command(data, out, only, "--seeds", "0") == 0
    first = json.loads(out.read_text())
    run = first["nets"]["FlexNet with penalty"]["runs"][0]
    assert 0 <= run["energy_above"] <= 1
    assert run["sizes"]["stem.0"]
    assert "energy_above" not in first["nets"]["conv 3x3"]["runs"][0]
    capsys.readouterr()
    assert command(data, out, only, "--seeds", "0,1") == 0
    assert "seed 0" not in capsys.readouterr().out
    entry = json.loads(out.read_text())["nets"]["conv 3x3"]
    assert [each["seed"] for each in entry["runs"]] == [0, 1]
    assert entry["source_sd"] is not None
    assert entry["parameters"] == entry["runs"][0]["parameters"]
    assert command(data, out, only, "--epochs", "2") == 2
    assert "has results of other settings: `epochs` must be 2, got 1" in capsys.readouterr().err
