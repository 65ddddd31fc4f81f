"""Comparisons of recipes continue, add up, and say what they did."""

import json

import pytest

from experiments import (
    ADAPTIVE_MNIST,
    RESNET18,
    THIN_RESNETS,
    adaptive_settings,
    comparison,
    mixed_scales,
    motion_nets,
    reproduce_comparison,
)
from experiments.comparison import epochs_to_reach
from flexkern.app.cli.main import main
from flexkern.app.training import load_recipe, override
from flexkern.app.training.record import command_without_places
from flexkern.app.training.weights import build_model

TRY = {"data.name": "digits", "epochs": 1, "threads": 1}


CONTESTANTS = {
    f"{comparison.name} {name}": contestant
    for comparison in (ADAPTIVE_MNIST, THIN_RESNETS, RESNET18)
    for name, contestant in comparison.contestants.items()
}


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_is_a_recipe_that_can_be_built(name):
    contestant = CONTESTANTS[name]
    recipe = override(load_recipe(contestant.recipe), contestant.changes)
    assert contestant.about
    assert build_model(recipe.model.name, dict(recipe.model.options), 1, 10)


def test_every_contestant_can_be_asked_for():
    """``--only`` takes names between commas."""
    assert not [
        name for name in (*CONTESTANTS, *motion_nets.NETS, *mixed_scales.NETS, *adaptive_settings.NETS) if "," in name
    ]


def test_first_epoch_at_or_above_each_threshold(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,accuracy/validation\n1,0.5\n2,0.985\n3,0.97\n4,0.986\n")
    assert epochs_to_reach(tmp_path, (0.98, 0.985, 0.99)) == {"98 %": 2, "98.5 %": 2, "99 %": None}


def test_runs_are_added_and_not_repeated(tmp_path, monkeypatch):
    out, said = tmp_path / "found.json", []
    options = {"only": ["adaptive-1k"], "changes": TRY, "runs": tmp_path / "runs", "say": said.append}
    first = reproduce_comparison(ADAPTIVE_MNIST, out, seeds=[0], **options)["contestants"]["adaptive-1k"]
    assert first["accuracy_mean"] == first["runs"][0]["accuracy"]
    assert first["accuracy_sd"] is None
    assert first["parameters"] == 927
    assert first["latency"] > 0
    assert first["step"] > 0
    monkeypatch.setattr(comparison, "fit", lambda *_, **__: pytest.fail("trained again"))
    again = reproduce_comparison(ADAPTIVE_MNIST, out, seeds=[0], **options)
    assert again["contestants"]["adaptive-1k"]["runs"] == first["runs"]
    assert len(said) == 1
    assert json.loads(out.read_text())["machine"]


def test_commands_are_kept_without_folders(monkeypatch):
    words = ["/bin/flexkern", "reproduce", "motion", "--data-dir", "/home/me/data", "--out=/tmp/x.json", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", words)
    assert command_without_places() == "flexkern reproduce motion --data-dir PATH --out PATH --seeds 1"
    monkeypatch.setattr("sys.argv", ["/bin/flexkern", "inspect", "w", "--data_dir", "/d", "--figure=/tmp/x.png"])
    assert command_without_places() == "flexkern inspect w --data_dir PATH --figure PATH"
    monkeypatch.setattr("sys.argv", ["/x/src/flexkern/__main__.py", "fit-kernel", "/home/me/photo.jpg", "--size", "9"])
    assert command_without_places() == "flexkern fit-kernel PATH --size 9"
    words = ["/bin/flexkern", "train", "my.yaml", "--data-dir", "/my data/x", "--data.dir=/d", "--only", "a / b,c"]
    monkeypatch.setattr("sys.argv", words)
    assert command_without_places() == "flexkern train my.yaml --data-dir PATH --data.dir=PATH --only 'a / b,c'"


@pytest.mark.parametrize(
    "words",
    [
        ["adaptive-mnist", "--epochs", "1"],
        ["cross-resolution", "--data-dir", "d", "--epochs", "1"],
        ["kernel-fitting", "--data-dir", "d", "--seeds", "0"],
        ["ablation", "--only", "MAGNet"],
        ["motion", "--data-dir", "d", "--seeds", "0"],
    ],
)
def test_a_part_or_a_try_needs_a_place_of_its_own(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *words]) == 2
    assert "give `--out`" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_holds_no_results(tmp_path, capsys):
    assert main(["reproduce", "ablation", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} is a folder" in capsys.readouterr().err


def test_a_shorter_try_is_not_taken_for_the_run(tmp_path):
    out = tmp_path / "found.json"
    options = {"only": ["adaptive-1k"], "seeds": [0], "runs": tmp_path / "runs"}
    reproduce_comparison(ADAPTIVE_MNIST, out, changes=TRY, **options)
    with pytest.raises(ValueError, match="of another recipe"):
        reproduce_comparison(ADAPTIVE_MNIST, out, changes={**TRY, "epochs": 2}, **options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "nobody"], "unknown contestant nobody; known: adaptive, plain"),
        (["--seeds", "one"], "`--seeds` must be whole numbers such as 0,1,2, got 'one'"),
    ],
)
def test_errors_are_one_line(words, message, tmp_path, capsys):
    assert main(["reproduce", "adaptive-mnist", "--out", str(tmp_path / "x.json"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()
