"""A run from beginning to end, and everything that can stop it."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from flexkern.app.data import NoisePadding, Task
from flexkern.app.training import Recipe, RunRecord, evaluate, fit
from flexkern.app.training.callbacks import SaveLast
from flexkern.app.training.fitting import Classifier
from flexkern.app.training.resolutions import accuracies_at
from tiny import tiny_recipe, write_tiny_npz


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_npz(tmp_path_factory.mktemp("data") / "squares.npz")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return fit(tiny_recipe(data, tmp_path_factory.mktemp("runs") / "tiny", epochs=8), progress=False)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fit_until(epoch: int, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is interrupted just after the checkpoint of an epoch."""
    save = SaveLast.on_train_epoch_end

    def save_and_die(self: Any, trainer: Any, module: Any) -> None:
        save(self, trainer, module)
        if trainer.current_epoch + 1 == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SaveLast, "on_train_epoch_end", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, progress=False)


def test_a_run_writes_all_its_files(finished: RunRecord) -> None:
    names = {path.name for path in finished.folder.iterdir() if not path.name.startswith("events.")}
    tables, stored = {"metrics.csv", "sizes.csv"}, {"weights.safetensors", "extras.safetensors", "last.ckpt"}
    assert names == {"recipe.yaml", "record.json"} | tables | stored
    assert len(list(finished.folder.glob("events.out.tfevents.*"))) == 1
    assert finished.accuracy > 0.8
    assert (finished.n_train, finished.n_validation, finished.n_test) == (72, 18, 30)


def test_the_record_states_all_that_is_needed_to_repeat_the_run(finished: RunRecord) -> None:
    stored = json.loads((finished.folder / "record.json").read_text())
    assert RunRecord.load(finished.folder) == finished
    assert Recipe.from_dict(stored["recipe"]) == Recipe.from_dict(finished.recipe)
    assert stored["seed"] == 0
    assert {"python", "torch", "lightning"} <= set(stored["versions"])
    assert stored["machine"]["threads"] >= 1
    assert stored["command"]
    assert stored["layers"]["stem.0"]["horizon"] == [7, 7]
    assert stored["parameters"] > 0
    assert stored["seconds"] > 0


def test_tables_have_a_row_per_epoch_and_layer(finished: RunRecord) -> None:
    metrics, sizes = rows(finished.folder / "metrics.csv"), rows(finished.folder / "sizes.csv")
    assert [row["epoch"] for row in metrics] == [str(epoch) for epoch in range(1, 9)]
    assert {"loss/train", "loss/validation", "accuracy/validation", "lr", "seconds"} <= set(metrics[0])
    assert len(sizes) == 8 * len(finished.layers)
    last = {row["layer"]: [int(row["size_0"]), int(row["size_1"])] for row in sizes if row["epoch"] == "8"}
    assert set(last) == set(finished.layers)


def test_the_best_epoch_is_chosen_on_validation_data(finished: RunRecord) -> None:
    metrics = rows(finished.folder / "metrics.csv")
    scores = [(float(row["accuracy/validation"]), -float(row["loss/validation"])) for row in metrics]
    assert finished.best_epoch == 1 + scores.index(max(scores))
    assert finished.validation_accuracy == max(scores)[0]


@pytest.mark.parametrize("which", ["", "weights.safetensors"])
def test_evaluate_repeats_the_accuracy_of_the_run(finished: RunRecord, data: Path, which: str) -> None:
    result = evaluate(finished.folder / which, data)
    assert (result["accuracy"], result["n"], result["task"]) == (finished.accuracy, 30, "npz")
    assert result["sizes"] == {name: layer["size"] for name, layer in finished.layers.items()}


def test_weights_alone_are_enough(finished: RunRecord, data: Path, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely.safetensors"
    lonely.write_bytes((finished.folder / "weights.safetensors").read_bytes())
    assert evaluate(lonely, data)["accuracy"] == finished.accuracy


def test_the_same_seed_gives_the_same_run(finished: RunRecord, data: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again = fit(tiny_recipe(data, tmp_path / "again", epochs=8), progress=False)
    assert again.accuracy == finished.accuracy
    first, second = (load_file(run.folder / "weights.safetensors") for run in (finished, again))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state), "fit must leave the caller's generator alone"


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_resumed_run_equals_an_uninterrupted_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float
) -> None:
    whole = fit(tiny_recipe(data, tmp_path / "whole", epochs=4, optimiser={"ema": ema}), progress=False)
    recipe = tiny_recipe(data, tmp_path / "parts", epochs=4, optimiser={"ema": ema})
    fit_until(2, recipe, monkeypatch)
    assert not (recipe.folder / "record.json").exists()
    parts = fit(recipe, resume=True, progress=False)
    first, second = (load_file(run.folder / "weights.safetensors") for run in (whole, parts))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    same = [name for name in rows(whole.folder / "metrics.csv")[0] if name != "seconds"]
    for before, after in zip(*(rows(run.folder / "metrics.csv") for run in (whole, parts)), strict=True):
        assert {name: before[name] for name in same} == {name: after[name] for name in same}
    assert (whole.folder / "sizes.csv").read_text() == (parts.folder / "sizes.csv").read_text()


def test_resuming_a_finished_run_returns_it(finished: RunRecord, data: Path) -> None:
    before = (finished.folder / "record.json").read_bytes()
    assert fit(tiny_recipe(data, finished.folder, epochs=8), resume=True, progress=False) == finished
    assert (finished.folder / "record.json").read_bytes() == before


def test_resuming_with_another_recipe_is_refused(finished: RunRecord, data: Path) -> None:
    recipe = tiny_recipe(data, finished.folder, epochs=9, optimiser={"lr": 0.5})
    with pytest.raises(ValueError, match=r"`optimiser.lr` was 0.01 and is now 0.5"):
        fit(recipe, resume=True)


def test_resuming_without_a_checkpoint_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing to resume in .*: there is no last\.ckpt"):
        fit(tiny_recipe(data, tmp_path / "new"), resume=True)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "pickle"])
def test_a_damaged_checkpoint_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    recipe = tiny_recipe(data, tmp_path / "run")
    fit_until(1, recipe, monkeypatch)
    path = recipe.folder / "last.ckpt"
    content = path.read_bytes()
    bad = {"truncated": content[: len(content) // 2], "empty": b"", "text": b"hello"}
    if damage == "pickle":
        torch.save({"state_dict": os.system}, path)  # code, were it loaded as a plain pickle
    else:
        path.write_bytes(bad[damage])
    with pytest.raises(ValueError, match=r"checkpoint .*last\.ckpt is damaged .* delete it, or train without"):
        fit(recipe, resume=True, progress=False)


def test_a_new_run_replaces_the_files_of_the_old_one_only(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = tiny_recipe(data, tmp_path / "run", epochs=1)
    fit(recipe, progress=False)
    (recipe.folder / "notes.txt").write_text("mine")
    with caplog.at_level("INFO", "flexkern.app.training"):
        fit(recipe, progress=False)
    assert "replacing the earlier run" in caplog.text
    assert (recipe.folder / "notes.txt").read_text() == "mine"
    assert len(list(recipe.folder.glob("events.out.tfevents.*"))) == 1
    assert len(rows(recipe.folder / "metrics.csv")) == 1


def test_a_folder_that_cannot_be_written_is_refused_before_training(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match=r"cannot write to the run folder .*file.run .* with --out"):
        fit(tiny_recipe(data, tmp_path / "file" / "run"))


def test_bad_data_leave_an_earlier_run_alone(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, tmp_path / "run", epochs=1)
    fit(recipe, progress=False)
    with pytest.raises(FileNotFoundError):
        fit(tiny_recipe(tmp_path / "nothing.npz", tmp_path / "run"))
    with pytest.raises(ValueError, match=r"`flextcn` cannot take samples of shape \(1, 8, 8\)"):
        fit(_with_series_model(recipe))
    with pytest.raises(ValueError, match="`accelerator` abacus cannot be used here"):
        fit(tiny_recipe(data, tmp_path / "run", accelerator="abacus"), progress=False)
    assert RunRecord.load(recipe.folder).epochs == 1


def _with_series_model(recipe: Recipe) -> Recipe:
    values = recipe.to_dict()
    values["model"] = {"name": "flextcn", "kernel_size": 8}
    return Recipe.from_dict(values)


def test_a_loss_that_is_not_finite_stops_the_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Classifier.training_step

    def broken(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        loss = step(self, batch, index)
        return loss * float("nan") if self.current_epoch == 1 and index == 2 else loss

    monkeypatch.setattr(Classifier, "training_step", broken)
    recipe = tiny_recipe(data, tmp_path / "run")
    with pytest.raises(ValueError, match=r"the loss is nan at epoch 2, step 8; try a lower `optimiser.lr`"):
        fit(recipe, progress=False)
    assert not (recipe.folder / "record.json").exists()
    assert all(torch.isfinite(value).all() for value in load_file(recipe.folder / "weights.safetensors").values())


def test_a_model_without_learned_sizes_trains_too(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, tmp_path / "run", epochs=1).to_dict()
    recipe["model"] = {"name": "convnet", "width": 4, "factors": [[1, 1]]}
    record = fit(Recipe.from_dict(recipe), progress=False)
    assert record.layers == {}
    assert not (record.folder / "sizes.csv").exists()


def test_progress_is_one_line_per_epoch_without_a_terminal(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("INFO", "flexkern.app.training"):
        fit(tiny_recipe(data, tmp_path / "run"))
    lines = [message for message in caplog.messages if message.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert capfd.readouterr().out == ""


def test_penalties_are_recorded(data: Path, tmp_path: Path) -> None:
    model = {"width": 3, "kernel_size": 5, "init_size": 3}
    recipe = tiny_recipe(
        data, tmp_path / "run", epochs=1, model=model, optimiser={"alias_penalty": 0.1, "size_budget": 1e3}
    )
    record = fit(recipe, progress=False)
    row = rows(record.folder / "metrics.csv")[-1]
    assert float(row["loss/size_budget"]) > 0
    assert float(row["loss/alias"]) >= 0
    at = evaluate(record.folder, resolutions=(1, 1.5))["resolutions"]
    assert [row["shape"] for row in at] == [[8, 8], [12, 12]]
    assert at[0]["accuracy"] == record.accuracy
    assert at[1]["sizes"]["stem.0"][0] >= 3


def test_series_without_another_resolution() -> None:
    x = torch.zeros(2, 1, 8)
    y = torch.tensor([0, 1])
    task = Task("toy", x, y, x, y, ("a", "b"), batch_transform=NoisePadding(torch.ones(1, 3)))
    with pytest.raises(ValueError, match="task `toy` has permuted or padded series"):
        accuracies_at(torch.nn.Flatten(), x, task, (2.0,))
    plain = Task("toy", x, y, x, y, ("a", "b"))
    with pytest.raises(ValueError, match=r"`resolution` 0.01 leaves nothing of samples of \(8,\)"):
        accuracies_at(torch.nn.Flatten(), x, plain, (0.01,))
    with pytest.raises(ValueError, match=r"the model does not take samples of \(16,\)"):
        accuracies_at(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2)), x, plain, (2.0,))
