"""Settings of adaptive layers on digits: that networks are equal, what is compared with what, the command."""

import json

import pytest
import torch

from experiments import digits
from experiments.adaptive_settings import NETS, PLAIN
from flexkern.app.cli.main import main


def test_networks_have_equal_parameters():
    count = {name: sum(p.numel() for p in make().parameters()) for name, make in NETS.items()}
    assert min(count.values()) >= 6_620
    assert max(count.values()) <= 6_770
    assert max(count.values()) <= 1.02 * count[PLAIN]


@pytest.mark.parametrize("name", NETS)
def test_every_network_classifies(name):
    assert NETS[name]()(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "COUNTS", {"train": 256, "validation": 64, "test": 64})
    out = tmp_path / "found.json"
    words = ["--only", "plain,first", "--seeds", "0,1", "--epochs", "1", "--out", str(out)]
    assert main(["reproduce", "adaptive-settings", *words]) == 0
    assert "first against plain" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["counts"] == {"train": 256, "validation": 64, "test": 64}
    assert list(found["comparisons"]) == ["first against plain"]
    assert len(found["nets"]["first"]["runs"]) == 2
