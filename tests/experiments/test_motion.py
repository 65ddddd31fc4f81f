"""The comparison of networks that tell shifts: its data, its statistics, its command."""

import json

import pytest
import torch
from PIL import Image

from experiments import motion
from experiments.motion import make_pairs, split_images
from experiments.motion_nets import NETS
from experiments.trial import compare, permutation_test
from flexkern.app.cli.main import main
from tolerances import assert_matches


@pytest.fixture
def folder(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for index in range(8):
        grey = (255 * torch.rand(40, 50, generator=generator)).byte()
        Image.fromarray(grey.numpy()).save(tmp_path / f"{index}.png")
    return tmp_path


def test_the_second_frame_is_shifted_by_what_the_label_says(monkeypatch):
    monkeypatch.setattr(motion, "NOISE", 0.0)
    x, y = make_pairs([torch.rand(30, 40)], 200, 3)
    for (first, second), label in zip(x, y.tolist(), strict=True):
        down, right = label // 5 - 2, label % 5 - 2
        inner = first[2 + down : 14 + down, 2 + right : 14 + right]
        assert torch.allclose(second[2:14, 2:14], inner)
    assert len(set(y.tolist())) == 25
    assert x.mean().abs() < 1e-5


def test_no_image_is_in_two_parts():
    images = [torch.full((1, 1), float(i)) for i in range(24)]
    parts = split_images(images)
    assert [len(part) for part in parts.values()] == [15, 3, 6]
    assert sorted(float(one) for part in parts.values() for one in part) == list(range(24))
    assert all(split_images(images[:4]).values())


def test_permutation_test_counts_every_exchange():
    assert permutation_test([1, 1, 1, 1, 1], [0, 0, 0, 0, 0]) == pytest.approx(2 / 252)
    assert permutation_test([1, 0], [0, 1]) == 1


def test_rivals_are_chosen_by_validation_among_equals():
    def net(parameters, latency, validation, tests):
        runs = [{"test": test} for test in tests]
        return {"parameters": parameters, "latency": latency, "validation_mean": validation, "runs": runs}

    nets = {
        "adaptive 8": net(100, 2.0, 0.9, [0.8, 0.9]),
        "plain a": net(101, 1.0, 0.7, [0.6, 0.7]),
        "plain b": net(99, 3.0, 0.6, [0.9, 0.9]),
        "plain c": net(500, 1.5, 0.8, [0.9, 1.0]),
    }
    found = compare(nets, ["adaptive 8"], ["plain a", "plain b", "plain c"])
    assert {name: one["rival"] for name, one in found.items()} == {
        "adaptive 8, equal parameters": "plain a",
        "adaptive 8, equal latency": "plain c",
    }
    assert found["adaptive 8, equal latency"]["gain"] == pytest.approx(-0.1)


@pytest.mark.parametrize("ours", ["adaptive hybrid 32", "adaptive hybrid 64"])
def test_equal_networks_are_about_as_large_as_the_adaptive_one(ours):
    count = {name: sum(p.numel() for p in make().parameters()) for name, make in NETS.items()}
    plain = [count[name] for name in count if name.startswith("plain")]
    assert any(0.92 * count[ours] <= one <= 1.02 * count[ours] for one in plain)
    assert any(1.2 * count[ours] <= one <= 1.7 * count[ours] for one in plain)  # what the hybrid's time allows


def test_the_hybrid_multiplies():
    """Its adaptive layer is x (b + q x), which a sum of two frames turns into their product."""
    layer = NETS["adaptive hybrid 32"]()[2]
    x = torch.randn(2, 32, 4, 4)
    factor, bias = layer.generator_weight.view(-1, 1, 1), layer.generator_bias.view(-1, 1, 1)
    assert_matches(layer(x), x * (bias + factor * x))


def test_the_command(folder, monkeypatch, capsys):
    monkeypatch.setattr(motion, "COUNTS", {"train": 512, "validation": 64, "test": 64})
    out = folder / "found.json"
    names = "adaptive hybrid 32,plain 32 5x5 normed,squares 32"
    words = ["--only", names, "--seeds", "0,1", "--epochs", "1", "--out", str(out)]
    assert main(["reproduce", "motion", "--data-dir", str(folder), *words]) == 0
    assert "points over plain 32 5x5 normed" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert [run["seed"] for run in found["nets"]["adaptive hybrid 32"]["runs"]] == [0, 1]
    assert found["comparisons"]["adaptive hybrid 32 against squares 32"]["rival"] == "squares 32"
    assert {one["rival"] for name, one in found["comparisons"].items() if "equal" in name} == {"plain 32 5x5 normed"}
    assert all(found["nets"]["plain 32 5x5 normed"][key] > 0 for key in ("latency", "latency_torch"))
    assert main(["reproduce", "motion", "--out", str(folder / "x.json")]) == 2
    assert main(["reproduce", "motion", "--data-dir", str(folder / "none"), "--out", str(folder / "x.json")]) == 2
    assert "must have at least 4 images" in capsys.readouterr().err
