"""Comparisons of recipes: contestants that can be built, runs that are added, and recipes that differ."""

import json

import pytest

from experiments.__main__ import main
from experiments.adaptive_mnist import run as adaptive_mnist
from experiments.common import comparison
from experiments.common.comparison import compare_recipes, epochs_to_reach
from experiments.common.options import Settings
from experiments.resnet18 import run as resnet18
from experiments.thin_resnets import run as thin_resnets
from flexkern.app.training import load_recipe, override
from flexkern.app.training.weights import build_model

TRY = {"data.name": "digits"}
CONTESTANTS = {
    f"{module.OPTIONS.name} {name}": contestant
    for module in (adaptive_mnist, thin_resnets, resnet18)
    for name, contestant in module.COMPARISON.contestants.items()
}


@pytest.fixture
def settings(tmp_path):
    return Settings(
        name="adaptive-mnist",
        out=tmp_path / "result.json",
        contestants=("adaptive-1k",),
        seeds=(0,),
        epochs=1,
        data_dir=None,
        threads=1,
    )


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_is_a_recipe_that_can_be_built(name):
    contestant = CONTESTANTS[name]
    recipe = override(load_recipe(contestant.recipe), contestant.changes)
    assert contestant.about
    assert build_model(recipe.model.name, dict(recipe.model.options), 1, 10)


def test_first_epoch_at_or_above_each_threshold(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,accuracy/validation\n1,0.5\n2,0.985\n3,0.97\n4,0.986\n")
    assert epochs_to_reach(tmp_path, (0.98, 0.985, 0.99)) == {"98 %": 2, "98.5 %": 2, "99 %": None}


def test_runs_are_added_and_not_repeated(settings, tmp_path, monkeypatch, capsys):
    options = {"changes": TRY, "runs": tmp_path / "runs"}
    first = compare_recipes(adaptive_mnist.COMPARISON, settings, **options)["contestants"]["adaptive-1k"]
    assert first["accuracy_mean"] == first["runs"][0]["accuracy"]
    assert first["accuracy_sd"] is None
    assert first["parameters"] == 927
    assert first["latency"] > 0
    assert first["step"] > 0
    assert capsys.readouterr().out.startswith("adaptive-1k, seed 0: ")
    monkeypatch.setattr(comparison, "train_recipe", lambda *_: pytest.fail("trained again"))
    again = compare_recipes(adaptive_mnist.COMPARISON, settings, **options)
    assert again["contestants"]["adaptive-1k"]["runs"] == first["runs"]
    assert not capsys.readouterr().out
    assert json.loads(settings.out.read_text())["machine"]
    longer = Settings(**{**vars(settings), "epochs": 2})
    with pytest.raises(ValueError, match="adaptive-1k, seed 0, of another recipe: give another `--out`"):
        compare_recipes(adaptive_mnist.COMPARISON, longer, **options)


def test_unknown_contestants_are_refused(tmp_path, capsys):
    assert main(["adaptive-mnist", "--out", str(tmp_path / "x.json"), "--only", "nobody"]) == 2
    assert "unknown contestant `nobody`; known: adaptive, plain" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()
