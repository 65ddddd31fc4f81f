"""Trials on digits: what the commands write, how they continue, and what they refuse."""

import json

import pytest
import torch

from experiments.__main__ import main
from experiments.common import digits, trials
from experiments.common.trials import read_windows, write_windows
from flexkern import sizes
from flexkern.app.data import load_task
from flexkern.layers import FlexConv2d

COUNTS = {"train": 128, "validation": 32, "test": 32}


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setattr(digits, "COUNTS", COUNTS)


def command(name, out, only, seeds="0", epochs=1):
    return main([name, "--only", only, "--seeds", seeds, "--epochs", str(epochs), "--out", str(out)])


@pytest.mark.parametrize(
    ("name", "only"),
    [
        ("ablation", "FlexNet,hard crop"),
        ("fixed_sizes", "learned,3x3"),
        ("adaptive-settings", "first,plain"),
        ("mixed-scales", "AdaptiveFlexConv,plain 9x9"),
    ],
)
def test_commands(name, only, tmp_path, capsys):
    out = tmp_path / "result.json"
    assert command(name, out, only) == 0
    result = json.loads(out.read_text())
    first, second = only.split(",")
    assert f"{first} against {second}: " in capsys.readouterr().out
    assert list(result["comparisons"]) == [f"{first} against {second}"]
    assert set(result["nets"]) == {first, second}
    assert result["counts"] == COUNTS
    assert result["nets"][second]["latency_torch"] > 0
    assert result["nets"][second]["latency"] is None
    assert result["name"] == name.replace("_", "-")


def test_parts_are_added_and_not_repeated(tmp_path, monkeypatch, capsys):
    out = tmp_path / "result.json"
    assert command("ablation", out, "FlexNet") == 0
    first = json.loads(out.read_text())["nets"]["FlexNet"]
    capsys.readouterr()
    assert command("ablation", out, "hard crop,FlexNet", seeds="0,1") == 0
    assert "FlexNet, seed 0" not in capsys.readouterr().out
    nets = json.loads(out.read_text())["nets"]
    assert list(nets) == ["FlexNet", "hard crop"]
    assert [run["seed"] for run in nets["FlexNet"]["runs"]] == [0, 1]
    assert nets["FlexNet"]["runs"][0] == first["runs"][0]
    assert first["test_sd"] is None
    assert nets["FlexNet"]["test_sd"] is not None
    monkeypatch.setattr(trials, "train", lambda *_, **__: pytest.fail("trained again"))
    content = out.read_text()
    assert command("ablation", out, "hard crop,FlexNet", seeds="0,1") == 0
    assert out.read_text() == content


def test_costs_are_measured_if_the_call_before_was_interrupted(tmp_path, monkeypatch):
    out = tmp_path / "result.json"
    with monkeypatch.context() as patch:
        patch.setattr(trials, "network_costs", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert command("fixed-sizes", out, "3x3") == 130
    assert "macs" not in json.loads(out.read_text())["nets"]["3x3"]
    monkeypatch.setattr(trials, "train", lambda *_, **__: pytest.fail("trained again"))
    assert command("fixed-sizes", out, "3x3") == 0
    assert json.loads(out.read_text())["nets"]["3x3"]["macs"] > 0


def test_other_settings_are_refused(tmp_path, capsys):
    out = tmp_path / "result.json"
    assert command("ablation", out, "no window") == 0
    content = out.read_text()
    assert command("ablation", out, "no window", epochs=2) == 2
    assert "results of other settings: `epochs` must be 2, got 1" in capsys.readouterr().err
    assert command("fixed-sizes", out, "3x3") == 2
    assert "`name` must be fixed-sizes, got ablation" in capsys.readouterr().err
    assert out.read_text() == content


def test_results_that_cannot_be_continued_are_refused(tmp_path, capsys):
    out = tmp_path / "result.json"
    assert command("ablation", out, "FlexNet") == 0
    result = json.loads(out.read_text())
    del result["nets"]["FlexNet"]["runs"][0]["windows"]
    out.write_text(json.dumps(result))
    assert command("ablation", out, "no window") == 2
    assert "was written without the windows of `FlexNet`" in capsys.readouterr().err
    result["nets"] = {"nobody": {"runs": [{"seed": 0}]}}
    out.write_text(json.dumps(result))
    assert command("ablation", out, "no window") == 2
    assert "results of `nobody`, which is no contestant" in capsys.readouterr().err


def test_windows_decide_the_size():
    layer, other = (FlexConv2d(1, 2, 15, padding="same") for _ in range(2))
    with torch.no_grad():
        layer.window.log_width.add_(2.0)
    assert sizes(layer) != sizes(other)
    write_windows(other, json.loads(json.dumps(read_windows(layer))))
    assert sizes(layer) == sizes(other)
    assert read_windows(torch.nn.Conv2d(1, 1, 3)) == {}


def test_samples_are_standardised_by_the_training_part():
    parts = digits.digit_samples(None)
    x = parts["train"].x
    assert x.mean().abs() < 1e-5
    assert x.std().item() == pytest.approx(1, abs=1e-5)
    raw = load_task("digits", None).x_test[:32]
    scale = parts["test"].x.std() / raw.std()
    assert torch.allclose(parts["test"].x, scale * (raw - raw.mean()) + parts["test"].x.mean(), atol=1e-4)
