"""What a run refuses, before anything of an earlier run is lost."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flexkern.app.training import Recipe, evaluate, fit, load_recipe, override
from flexkern.models import create_model
from tiny import tiny_recipe, write_tiny_npz


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tiny_npz(tmp_path / "squares.npz")


def write_series(path: Path, names: tuple[str, ...]) -> Path:
    """A series archive that states its class names."""
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    x = (rng.standard_normal((24, 12, 1)) + y[:, None, None]).astype(np.float32)
    length = np.full(24, 12)
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    np.savez(path, **arrays, len_train=length, len_test=length, class_names=np.array(names))
    return path


def test_evaluation_refuses_other_classes_under_the_same_numbers(tmp_path: Path) -> None:
    learned = write_series(tmp_path / "pets.npz", ("cat", "dog"))
    other = write_series(tmp_path / "fruit.npz", ("apple", "pear"))
    recipe = tiny_recipe(learned, tmp_path / "run", epochs=1).to_dict()
    recipe["data"] = {"name": "array", "dir": str(learned), "validation": 0.2}
    recipe["model"] = {"name": "flextcn", "kernel_size": 12, "width": 2, "blocks": 1}
    record = fit(Recipe.from_dict(recipe), progress=False)
    assert evaluate(record.folder)["n"] == 24
    with pytest.raises(ValueError, match="class 0 of task `array` is 'apple' here, but the weights learned 'cat'"):
        evaluate(record.folder, other)


def test_a_checkpoint_of_something_else_is_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(data, tmp_path / "run", epochs=1)
    fit(recipe, progress=False)
    torch.save({"state_dict": {}}, recipe.folder / "last.ckpt")
    (recipe.folder / "record.json").unlink()
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or not ours; delete it, or train without --resume"):
        fit(recipe, resume=True, progress=False)


def test_files_that_no_run_wrote_are_not_overwritten(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "metrics.csv").write_text("my own\n")
    with pytest.raises(ValueError, match=r"metrics\.csv is not of a run of ours and would be overwritten"):
        fit(tiny_recipe(data, folder, epochs=1), progress=False)
    assert (folder / "metrics.csv").read_text() == "my own\n"


def test_a_recipe_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xb8\xff\x00")
    with pytest.raises(ValueError, match=r"bad\.yaml is not a text file"):
        load_recipe(path)


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
def test_numbers_must_be_finite(value: str) -> None:
    with pytest.raises(ValueError, match=r"`optimiser\.lr` must be finite"):
        override(load_recipe("digits"), {"lr": value})


def test_unusable_model_options_name_themselves() -> None:
    with pytest.raises(ValueError, match="at least one block"):
        create_model("flextcn", blocks=0)
    with pytest.raises(ValueError, match="at least one block"):
        create_model("flexnet", factors=())
    with pytest.raises(ValueError, match="unknown option `treshold` of the window; did you mean 'threshold'"):
        create_model("flexnet", window={"treshold": 0.2})
    with pytest.raises(ValueError, match="unknown option `hiden` of the generator; did you mean 'hidden'"):
        create_model("flexnet", generator={"name": "siren", "hiden": 8})


def test_a_refused_run_leaves_no_folder(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        fit(tiny_recipe(data, folder), resume=True, progress=False)
    assert not folder.exists()
    with pytest.raises(FileNotFoundError, match="no such file"):
        fit(tiny_recipe(tmp_path / "gone.npz", folder), progress=False)
    assert not folder.exists()


def test_the_american_spelling_is_understood_as_a_slip() -> None:
    with pytest.raises(ValueError, match="unknown key `optimizer`; did you mean `optimiser`"):
        Recipe.from_dict({"name": "x", "data": {"name": "digits"}, "model": {"name": "flexnet"}, "optimizer": {}})
