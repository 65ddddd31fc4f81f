"""Results of plain training runs: one result from the runs of several seeds, and runs that do not fit."""

import json

import pytest

from experiments.__main__ import main
from experiments.common import records
from experiments.common.catalogue import FOLDER
from experiments.common.options import Settings
from experiments.common.records import train_seeds
from tiny import tiny_recipe, write_tiny_npz


@pytest.fixture
def recipe(tmp_path):
    """A recipe that takes a second."""
    data = write_tiny_npz(tmp_path / "squares.npz")
    path = tmp_path / "tiny.yaml"
    path.write_text(tiny_recipe(data, tmp_path / "unused").to_yaml())
    return str(path)


@pytest.fixture
def settings(tmp_path):
    return Settings(
        name="tiny",
        out=tmp_path / "result.json",
        contestants=(),
        seeds=(0, 1),
        epochs=1,
        data_dir=None,
        threads=1,
    )


def test_one_result_from_several_seeds(recipe, settings, tmp_path, monkeypatch):
    result = train_seeds(recipe, settings, runs=tmp_path / "runs")
    assert [run["seed"] for run in result["runs"]] == [0, 1]
    assert result["accuracy_mean"] == sum(run["accuracy"] for run in result["runs"]) / 2
    assert result["accuracy_sd"] is not None
    assert "seed" not in result["recipe"]
    assert "dir" not in result["recipe"]["data"]
    assert all("x" in size for size in result["runs"][0]["sizes"].values())
    committed = json.loads((FOLDER / "digits" / "result.json").read_text())
    assert set(committed) <= set(result)
    assert set(committed["runs"][0]) == set(result["runs"][0])
    content = settings.out.read_text()
    monkeypatch.setattr(records, "train_recipe", lambda *_: pytest.fail("trained again"))
    train_seeds(recipe, settings, runs=tmp_path / "runs")
    assert settings.out.read_text() == content
    longer = Settings(**{**vars(settings), "epochs": 2, "seeds": (2,)})
    with pytest.raises(ValueError, match="is of another recipe: give another `--out`"):
        train_seeds(recipe, longer)
    monkeypatch.setattr(records, "machine", lambda: {"cpu": "another"})
    other = Settings(**{**vars(settings), "seeds": (2,)})
    with pytest.raises(ValueError, match="is of another machine or other versions: give another `--out`"):
        train_seeds(recipe, other)


@pytest.mark.parametrize("name", ["digits", "mnist-flexnet", "mnist1d-flextcn"])
def test_committed_results_are_complete(name, capsys):
    assert main([name]) == 0
    assert "accuracy %" in capsys.readouterr().out
