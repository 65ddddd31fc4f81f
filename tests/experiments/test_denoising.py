"""Denoising: noisy patches, networks that remove noise, dB, the command."""

import json
import math

import pytest
import torch
from PIL import Image
from torch import nn

from experiments.__main__ import main
from experiments.common.training import Samples
from experiments.denoising import run as denoising
from experiments.denoising.run import NETS, NOISE, make_noisy, peak_ratio
from tolerances import assert_matches


def test_patches_are_parts_of_an_image():
    image = torch.arange(40 * 50.0).view(40, 50) / 2000
    x, y = make_noisy([image], 20, 0)
    places = ((y[:, 0, 0, 0] + 0.5) * 2000).round().long()
    for patch, at in zip(y, places.tolist(), strict=True):
        top, left = divmod(at, 50)
        assert_matches(patch[0] + 0.5, image[top : top + 32, left : left + 32], 1e-5)
    assert (x - y).std().item() == pytest.approx(NOISE, rel=0.05)


def test_peak_ratio_of_a_known_error():
    y = torch.rand(3, 1, 4, 4)
    assert peak_ratio(nn.Identity(), Samples(y + 0.1, y)) == pytest.approx(20.0, abs=1e-4)


@pytest.mark.parametrize("ours", [name for name in NETS if name.startswith("adaptive last")])
def test_some_plain_network_is_as_large(ours):
    count = {name: sum(p.numel() for p in make().parameters()) for name, make in NETS.items()}
    assert any(0.9 * count[ours] <= count[name] <= 1.02 * count[ours] for name in count if name.startswith("plain"))


def test_the_last_layer_starts_as_an_average_of_similar_values():
    """A constant image stays constant, at the border too; an edge stays where it is."""
    torch.manual_seed(0)
    layer = denoising.bilateral(3)
    assert_matches(layer(torch.full((1, 1, 6, 6), 0.3)), torch.full((1, 1, 6, 6), 0.3), 1e-5)
    edge = torch.zeros(1, 1, 6, 6)
    edge[..., 3:] = 4.0
    filtered = layer(edge)
    assert filtered[..., :3].max() < 1
    assert filtered[..., 3:].min() > 3


def test_the_command(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    for number in range(4):
        Image.effect_noise((48, 48), 20 + number).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(denoising, "COUNTS", {"train": 64, "validation": 16, "test": 16})
    out = tmp_path / "found.json"
    words = ["--only", "adaptive last 12-12,plain 12-12", "--seeds", "0,1", "--epochs", "1", "--out", str(out)]
    assert main(["denoising", "--data-dir", str(tmp_path), *words]) == 0
    assert "dB over plain 12-12" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert result["unit"] == "dB"
    assert all(math.isfinite(run["test"]) for net in result["nets"].values() for run in net["runs"])
    assert result["comparisons"]["adaptive last 12-12, equal parameters"]["rival"] == "plain 12-12"
    monkeypatch.setattr("experiments.common.trials.train", lambda *_, **__: pytest.fail("trained again"))
    assert main(["denoising", "--data-dir", str(tmp_path), *words]) == 0
    again = json.loads(out.read_text())
    assert [net["runs"] for net in again["nets"].values()] == [net["runs"] for net in result["nets"].values()]
    assert main(["denoising", "--data-dir", str(tmp_path), *words, "--epochs", "2"]) == 2
    assert "has results of other settings" in capsys.readouterr().err
