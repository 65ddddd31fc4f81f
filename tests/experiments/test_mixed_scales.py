"""Digits at mixed scales: the data, that networks are equal, the command."""

import json

import torch

from experiments import digits
from experiments.mixed_scales import NETS, shrink_and_place
from flexkern.app.cli.main import main


def test_digits_keep_their_content_at_every_scale_and_place():
    images = torch.ones(400, 1, 28, 28)
    found = shrink_and_place(images, 0)
    sides = [(one[0].sum(0) > 0.5).sum().item() for one in found]
    assert min(sides) == 10
    assert max(sides) == 28
    for one, side in zip(found, sides, strict=True):
        assert one.sum() == side**2
        assert (one[0].sum(1) > 0.5).sum() == side
    tops = {(one[0].sum(1) > 0.5).int().argmax().item() for one, side in zip(found, sides, strict=True) if side < 14}
    assert len(tops) > 8
    assert torch.equal(found, shrink_and_place(images, 0))


def test_networks_have_equal_parameters():
    count = {name: sum(p.numel() for p in make().parameters()) for name, make in NETS.items()}
    assert max(count.values()) <= 1.02 * count["AdaptiveFlexConv"]
    assert min(count.values()) >= 0.85 * count["AdaptiveFlexConv"]


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "COUNTS", {"train": 256, "validation": 64, "test": 64})
    out = tmp_path / "found.json"
    words = ["--only", "AdaptiveFlexConv,plain 9x9", "--seeds", "0,1", "--epochs", "1", "--out", str(out)]
    assert main(["reproduce", "mixed-scales", *words]) == 0
    assert "points over plain 9x9" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["counts"] == {"train": 256, "validation": 64, "test": 64}
    assert found["nets"]["plain 9x9"]["latency_torch"] > 0
    assert found["nets"]["plain 9x9"]["latency"] is None
    assert main(["reproduce", "mixed-scales", "--only", "nobody", "--out", str(tmp_path / "x.json")]) == 2
    assert "unknown contestant `nobody`; known: AdaptiveFlexConv" in capsys.readouterr().err
