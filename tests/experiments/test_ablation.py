"""Networks of the ablation: equal but for one part; fixed sizes of equal parameters; the commands."""

import json

import pytest
import torch

from experiments import digits, size_budget
from experiments.ablation import BASE, PARTS
from experiments.fixed_sizes import FIXED, FIXED_1D
from flexkern import freeze_sizes, sizes
from flexkern.app.cli.main import main


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_parts_have_about_equal_parameters():
    counts = {name: count(make()) for name, make in PARTS.items()}
    assert max(counts.values()) < 1.05 * min(counts.values())


def test_fixed_sizes_have_equal_parameters_but_for_the_windows():
    learned = FIXED["learned"]()
    windows = sum(p.numel() for name, p in learned.named_parameters() if "window" in name)
    assert {count(make()) for name, make in FIXED.items() if name != "learned"} == {count(learned) - windows}
    assert [FIXED[name]().stem[0].size for name in ("3x3", "17x17", "29x29")] == [(3, 3), (17, 17), (29, 29)]


def test_fixed_sizes_of_series():
    counts = [count(make()) for make in FIXED_1D.values()]
    assert len(set(counts[1:])) == 1
    assert counts[0] - counts[1] == 4 * 2  # the windows of four layers
    assert FIXED_1D["41 taps"]()(torch.randn(2, 1, 40)).shape == (2, 10)


@pytest.mark.parametrize("name", [*PARTS, *FIXED])
def test_every_network_classifies(name):
    net = {**PARTS, **FIXED}[name]().eval()
    assert net(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def test_what_is_exchanged():
    fixed = PARTS["window as it starts"]()
    assert not any("window" in name for name, p in fixed.named_parameters() if p.requires_grad)
    assert sizes(fixed) == sizes(freeze_sizes(PARTS[BASE]()))
    assert not sizes(PARTS["no window"]())
    assert not PARTS["hard crop"]().stem[0].window.continuous


@pytest.mark.parametrize(("command", "only"), [("ablation", "FlexNet,hard crop"), ("fixed-sizes", "learned,3x3")])
def test_the_commands(command, only, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "COUNTS", {"train": 128, "validation": 32, "test": 32})
    out = tmp_path / "found.json"
    words = ["--only", only, "--seeds", "0", "--epochs", "1", "--out", str(out)]
    assert main(["reproduce", command, *words]) == 0
    assert " against ".join(only.split(",")) in capsys.readouterr().out
    assert set(json.loads(out.read_text())["nets"]) == set(only.split(","))


def test_budgets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "COUNTS", {"train": 128, "validation": 32, "test": 32})
    out = tmp_path / "budget.json"
    monkeypatch.setattr(size_budget, "BATCH", 16)
    words = ["--only", "none,5000000", "--seeds", "0,1", "--epochs", "5", "--out", str(out)]
    assert main(["reproduce", "size-budget", *words]) == 0
    assert "budget 5000000, seed 1" in capsys.readouterr().out
    free, tight = json.loads(out.read_text())["budgets"]
    assert (free["budget"], tight["budget"]) == (None, 5e6)
    assert tight["macs_mean"] < free["macs_mean"]
    assert out.with_suffix(".png").stat().st_size > 1000
    assert main(["reproduce", "size-budget", "--only", "7", "--out", str(out)]) == 2
    assert "unknown contestant `7`; known: none, 40000000" in capsys.readouterr().err


def test_budgets_go_on_where_they_were(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "COUNTS", {"train": 64, "validation": 32, "test": 32})
    out = tmp_path / "budget.json"
    words = ["reproduce", "size-budget", "--epochs", "1", "--out", str(out)]
    assert main([*words, "--only", "5000000", "--seeds", "1"]) == 0
    first = json.loads(out.read_text())["budgets"]
    capsys.readouterr()
    assert main([*words, "--only", "none,5000000", "--seeds", "1"]) == 0
    assert "budget 5000000" not in capsys.readouterr().out
    found = json.loads(out.read_text())["budgets"]
    assert [one["budget"] for one in found] == [None, 5e6]
    assert found[1:] == first
    assert main([*words[:2], "--epochs", "2", "--out", str(out)]) == 2
    assert "holds a comparison of other settings" in capsys.readouterr().err


def test_files_that_are_no_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "COUNTS", {"train": 64, "validation": 32, "test": 32})
    for content in ("no json", "[]"):
        (tmp_path / "notes.json").write_text(content)
        assert main(["reproduce", "size-budget", "--out", str(tmp_path / "notes.json")]) == 2
        assert "does not hold results" in capsys.readouterr().err
        assert (tmp_path / "notes.json").read_text() == content
