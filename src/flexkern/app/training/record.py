"""RunRecord: what a finished run leaves in record.json, all that is needed to repeat or judge it."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flexkern._support.atomic import write_json
from flexkern.windows import sizes

_PLACES = ("--data-dir", "--data_dir", "--out", "--figure")
_PACKAGES = ("flexkern", "torch", "lightning", "torchmetrics", "numpy", "safetensors")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Result of one run; ``record.json`` in the run folder.

    Args:
        recipe: the whole recipe, defaults included (:meth:`Recipe.to_dict`).
        seed: of everything random in the run.
        n_train, n_validation, n_test: samples of each part.
        accuracy: on the test set, touched once, with the weights of ``best_epoch``.
        validation_accuracy: the best one, by which the weights were chosen.
        epochs, best_epoch: epochs trained; epoch (from 1) of the kept weights.
        seconds: of training and validation, all sessions of a resumed run together.
        parameters: trainable numbers of the model.
        layers: layer name -> {"horizon": [...], "size": [...]} in samples per axis.
        folder: where it is stored; not written.
    """

    name: str
    task: str
    recipe: dict[str, Any]
    seed: int
    n_train: int
    n_validation: int
    n_test: int
    accuracy: float
    validation_accuracy: float
    epochs: int
    best_epoch: int
    seconds: float
    parameters: int
    layers: dict[str, dict[str, list[int]]]
    versions: dict[str, str] = field(default_factory=lambda: versions())
    machine: dict[str, Any] = field(default_factory=lambda: machine())
    command: str = field(default_factory=lambda: command())
    commit: str | None = field(default_factory=lambda: commit())
    written: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    folder: Path = field(default=Path(), compare=False)

    def save(self) -> None:
        """Writes ``folder/record.json`` atomically."""
        values = asdict(self)
        del values["folder"]
        write_json(self.folder / "record.json", values)

    @classmethod
    def load(cls, folder: str | Path) -> RunRecord:
        """Reads ``folder/record.json``; ``ValueError`` when it is no record of ours."""
        path = Path(folder) / "record.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            known = {item.name for item in fields(cls)}
            return cls(**{key: value for key, value in values.items() if key in known}, folder=Path(folder))
        except FileNotFoundError:
            raise FileNotFoundError(f"no finished run in {folder}: {path} does not exist.") from None
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is not a whole record of a run: {error}") from error


def describe_layers(model: nn.Module) -> dict[str, dict[str, list[int]]]:
    """Layer name -> horizon and learned size of every layer that learns its size."""
    found = {}
    for name, size in sizes(model).items():
        layer: Any = model.get_submodule(name)
        found[name] = {"horizon": list(layer.kernel_size), "size": list(size)}
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a run, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores, threads torch uses, and the system."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
    }


def command() -> str:
    """The command line of this process, ready to paste into a shell."""
    return shlex.join([*_program(Path(sys.argv[0])), *sys.argv[1:]])


def _program(path: Path) -> list[str]:
    """Words that start a program: its name, or ``python -m`` and the name of its package."""
    if path.parts[-2:] in (("cli", "main.py"), ("flexkern", "__main__.py")):
        return ["flexkern"]
    if path.name == "__main__.py":
        return ["python", "-m", path.parent.name]
    return [path.name or "python"]


def command_without_places() -> str:
    """The command line without the folders and files of one machine."""
    shown: list[str] = []
    for word in shlex.split(command()):
        name, equals, value = word.partition("=")
        if shown and shown[-1] in _PLACES:
            shown.append("PATH")
        elif equals and name in _PLACES:
            shown += [name, "PATH"]
        elif word.startswith(("/", "~")):
            shown.append("PATH")
        else:
            shown.append(f"{name}=PATH" if value.startswith(("/", "~")) else word)
    return shlex.join(shown)


def write_result(out: str | Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the command, commit, machine and versions by which ``result`` was obtained, and writes it as JSON."""
    whole = {**result, "command": command_without_places(), "commit": commit()}
    whole.update(machine=machine(), versions=versions())
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_json(Path(out), whole)
    return whole


def commit() -> str | None:
    """Commit of the flexkern checkout that runs (with -dirty if changed); None for an installed package."""
    package = Path(__file__).resolve().parent
    try:
        # An installed copy may lie inside somebody else's repository: ask only where our own file is tracked.
        _git(package, "ls-files", "--error-unmatch", Path(__file__).name)
        return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
