"""The run folder: its files by name, opened so that nothing fails after hours of training."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexkern._support.atomic import write_text

from .recipe import Recipe, read_recipe_file

# Keys a resumed run may change: they do not alter what was trained so far.
_FREE = ("about", "epochs", "out", "threads", "accelerator", "data.dir")


@dataclass(frozen=True)
class RunFolder:
    """Paths of everything a run writes."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe, written when the run begins."""
        return self.path / "recipe.yaml"

    @property
    def record(self) -> Path:
        """What the finished run leaves behind."""
        return self.path / "record.json"

    @property
    def checkpoint(self) -> Path:
        """State after the last epoch, for ``--resume``."""
        return self.path / "last.ckpt"

    @property
    def weights(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "weights.safetensors"

    @property
    def extras(self) -> Path:
        """Tensors of the task that a run needs to be repeated."""
        return self.path / "extras.safetensors"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    @property
    def sizes(self) -> Path:
        """One row per epoch and layer."""
        return self.path / "sizes.csv"

    @property
    def figure(self) -> Path:
        """Learned windows by depth."""
        return self.path / "windows.png"

    def clear(self) -> bool:
        """Deletes the files of an earlier run, and only those; True if there were any.

        Raises:
            ValueError: files of these names are there, but nothing tells that a run wrote them.
        """
        events = list(self.path.glob("events.out.tfevents.*"))
        named = (self.record, self.recipe, self.checkpoint, self.weights, self.extras)
        drawn = (self.metrics, self.sizes, self.figure)
        old = [path for path in (*named, *drawn, *events) if path.is_file()]
        if old and not (events or self.record.is_file() or self.checkpoint.is_file()):
            raise ValueError(f"{old[0]} is not of a run of ours and would be overwritten; choose another --out.")
        for path in old:  # the record goes first: a folder with a record is a finished run
            path.unlink()
        return bool(old)

    def drop_if_empty(self) -> None:
        """Removes the folder if nothing was written: a refused run leaves no trace."""
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def open_folder(path: str | Path) -> RunFolder:
    """Makes the folder and proves that files can be written there, before any work is done.

    Raises:
        PermissionError: it cannot be made or written; the message names it and says what to do.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise PermissionError(
            f"cannot write to the run folder {path} ({reason}); choose another with --out."
        ) from error
    return RunFolder(path)


def save_recipe(folder: RunFolder, recipe: Recipe) -> None:
    """Writes ``recipe.yaml``."""
    write_text(folder.recipe, recipe.to_yaml())


def check_resume(folder: RunFolder, recipe: Recipe) -> None:
    """Refuses to resume without a checkpoint, or with a recipe that would not continue the same run.

    Raises:
        FileNotFoundError: there is nothing to resume.
        ValueError: a key differs from the run's own recipe; the message names the first one.
    """
    if not folder.checkpoint.is_file():
        raise FileNotFoundError(f"nothing to resume in {folder.path}: there is no {folder.checkpoint.name}.")
    if not folder.recipe.is_file():
        return
    before = read_recipe_file(folder.recipe)
    old, new = _flat(before.to_dict()), _flat(recipe.to_dict())
    for key in [*old, *(key for key in new if key not in old)]:
        if key not in _FREE and old.get(key) != new.get(key):
            raise ValueError(
                f"cannot resume {folder.path}: `{key}` was {old.get(key)!r} and is now {new.get(key)!r};"
                " use the run's own value, or train without --resume."
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat
