"""The run folder: its files by name, and checks that spare a failure after hours of training."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexkern._support.atomic import write_text

from .recipe import Recipe, read_recipe_file

_MAY_CHANGE = ("about", "epochs", "out", "threads", "accelerator", "data.dir")
"""Keys that a resumed run may change: they do not alter what was trained so far."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of all files of a run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe, written when the run begins."""
        return self.path / "recipe.yaml"

    @property
    def record(self) -> Path:
        """The record of the finished run."""
        return self.path / "record.json"

    @property
    def checkpoint(self) -> Path:
        """The state after the last epoch, for ``--resume``."""
        return self.path / "last.ckpt"

    @property
    def weights(self) -> Path:
        """The weights of the best epoch."""
        return self.path / "weights.safetensors"

    @property
    def extras(self) -> Path:
        """Tensors of the task that are needed to repeat the run."""
        return self.path / "extras.safetensors"

    @property
    def metrics(self) -> Path:
        """A table with one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def sizes(self) -> Path:
        """A table with one row per epoch and layer."""
        return self.path / "sizes.csv"

    @property
    def figure(self) -> Path:
        """The learned windows by depth."""
        return self.path / "windows.png"

    def clear(self) -> bool:
        """Delete the files of an earlier run, and only those; return whether there were any.

        Raises:
            ValueError: Files of these names exist, but nothing shows that a run wrote them.
        """
        events = list(self.path.glob("events.out.tfevents.*"))
        candidates = [
            self.record,  # Deleted first: a folder with a record is a finished run.
            self.recipe,
            self.checkpoint,
            self.weights,
            self.extras,
            self.metrics,
            self.sizes,
            self.figure,
            *events,
        ]
        existing = [path for path in candidates if path.is_file()]
        written_by_run = bool(events) or self.record.is_file() or self.checkpoint.is_file()
        if existing and not written_by_run:
            raise ValueError(f"{existing[0]} is not of a run of ours and would be overwritten; choose another --out.")
        for path in existing:
            path.unlink()
        return bool(existing)

    def drop_if_empty(self) -> None:
        """Remove the folder if it is empty, so that a refused run leaves no trace."""
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def open_folder(path: str | Path) -> RunFolder:
    """Create the folder and check that files can be written there, before any work is done.

    Raises:
        PermissionError: The folder cannot be created or written; the message names it and the remedy.
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
    """Write ``recipe.yaml``."""
    write_text(folder.recipe, recipe.to_yaml())


def check_resume(folder: RunFolder, recipe: Recipe) -> None:
    """Check that there is a checkpoint and that the recipe continues the same run.

    Raises:
        FileNotFoundError: There is nothing to resume.
        ValueError: A key differs from the run's own recipe; the message names the first one.
    """
    if not folder.checkpoint.is_file():
        raise FileNotFoundError(f"nothing to resume in {folder.path}: there is no {folder.checkpoint.name}.")
    if not folder.recipe.is_file():
        return
    stored_recipe = read_recipe_file(folder.recipe)
    stored = _flatten(stored_recipe.to_dict())
    current = _flatten(recipe.to_dict())
    for key in {**stored, **current}:
        if key in _MAY_CHANGE or stored.get(key) == current.get(key):
            continue
        raise ValueError(
            f"cannot resume {folder.path}: `{key}` was {stored.get(key)!r} and is now {current.get(key)!r};"
            " use the run's own value, or train without --resume."
        )


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested dict as one with dotted keys; tuples become lists."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = prefix + key
        if isinstance(value, dict):
            flat |= _flatten(value, f"{name}.")
        elif isinstance(value, tuple):
            flat[name] = list(value)
        else:
            flat[name] = value
    return flat
