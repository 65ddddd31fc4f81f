"""Cross-resolution: the data at both resolutions, every network there and back, the command that goes on."""

import functools
import json

import pytest
import torch

from experiments import by_engines, cross_resolution
from experiments.cross_resolution import CROSS_RESOLUTION, NETS, CrossTask, cross_samples
from flexkern import alias_penalty
from flexkern.app.cli.main import main
from flexkern.engines import convolve
from tiny import write_tiny_npz


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setitem(CROSS_RESOLUTION, "cross-resolution", CrossTask("npz", 16, 1, 1, 60))
    return write_tiny_npz(tmp_path / "squares.npz", side=16)


def test_samples_at_both_resolutions(data):
    found = cross_samples(CROSS_RESOLUTION["cross-resolution"], data)
    x = found["whole"]["train"].x
    assert x.shape == (60, 1, 16, 16)
    assert found["half"]["train"].x.shape[1:] == (1, 8, 8)
    assert x.mean().abs() < 0.1  # of all 81
    assert x.std().item() == pytest.approx(1, abs=0.1)
    assert torch.allclose(found["half"]["test"].x.mean((2, 3)), found["whole"]["test"].x.mean((2, 3)), atol=1e-5)


def test_networks_of_kernel_nets_have_equal_parameters():
    counts = {name: sum(p.numel() for p in make(1, 10, 14).parameters()) for name, make in NETS.items()}
    flex = [count for name, count in counts.items() if name.startswith("FlexNet") or name == "N-Jet"]
    assert max(flex) < 1.1 * min(flex)


@pytest.mark.parametrize("name", NETS)
def test_every_network_changes_resolution(name):
    net = NETS[name](1, 10, 8).eval()
    for plain in ("keep", "enlarge"):
        changed = cross_resolution.at_resolution(net, 2.0, plain=plain)
        assert changed(torch.zeros(2, 1, 16, 16)).shape == (2, 10)


def test_thrice_the_penalty_is_thrice_the_penalty():
    net = NETS["FlexNet authors' initialisation"](1, 10, 14)
    once, thrice = (cross_resolution._penalty(net, times=times) for times in cross_resolution.PENALTIES.values())
    assert once.item() == pytest.approx(0.1 * alias_penalty(net).item())
    assert thrice.item() == pytest.approx(3 * once.item())


def test_only_wide_ordinary_convolutions_go_by_the_engines(data, tmp_path, monkeypatch):
    sizes = []

    def spied(x, weight, *args, **kwargs):
        sizes.append(tuple(weight.shape[2:]))
        return convolve(x, weight, *args, **kwargs)

    monkeypatch.setattr(by_engines, "convolve", spied)
    run = functools.partial(cross_resolution.reproduce_cross_resolution, "cross-resolution", data_dir=data, seeds=[0])
    run(tmp_path / "narrow.json", only=["conv 3x3"])
    assert not sizes
    run(tmp_path / "wide.json", only=["conv horizon"])
    assert {(9, 9), (17, 17)} <= set(sizes)  # trained at 8 pixels, enlarged for 16


def test_the_command_goes_on_where_it_was(data, tmp_path, capsys):
    out = tmp_path / "cross.json"
    words = ["reproduce", "cross-resolution", "--data-dir", str(data), "--out", str(out)]
    some = ["--only", "FlexNet with penalty,conv 3x3"]
    assert main([*words, *some, "--seeds", "0"]) == 0
    first = json.loads(out.read_text())
    run = first["nets"]["FlexNet with penalty"]["runs"][0]
    assert 0 <= run["energy_above"] <= 1
    assert run["sizes"]["stem.0"]
    assert "energy_above" not in first["nets"]["conv 3x3"]["runs"][0]
    capsys.readouterr()
    assert main([*words, *some, "--seeds", "0,1"]) == 0
    assert "seed 0" not in capsys.readouterr().out
    found = json.loads(out.read_text())["nets"]["conv 3x3"]
    assert [each["seed"] for each in found["runs"]] == [0, 1]
    assert found["source_sd"] is not None
    assert found["parameters"] == found["runs"][0]["parameters"]
    assert main([*words, *some, "--epochs", "2"]) == 2
    assert "holds a comparison of other settings" in capsys.readouterr().err


def test_what_the_command_needs(capsys):
    assert main(["reproduce", "cross-resolution"]) == 2
    assert "cross-resolution needs `--data-dir`" in capsys.readouterr().err
    assert main(["reproduce", "kernel-fitting"]) == 2
    assert "kernel-fitting needs `--data-dir`, a folder of images" in capsys.readouterr().err
