"""RunRecord: the contents of record.json, all that is needed to repeat or judge a finished run."""

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
from flexkern._support.machine import processor_name
from flexkern.windows import sizes

_PATH_OPTIONS = ("--data-dir", "--data_dir", "--out", "--figure")
_PACKAGES = ("flexkern", "torch", "lightning", "torchmetrics", "numpy", "safetensors")
_PROGRAM_FILES = (("cli", "main.py"), ("flexkern", "__main__.py"))
"""Last parts of the paths of our own program."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Result of one run; ``record.json`` in the run folder.

    Args:
        recipe: The whole recipe, defaults included (:meth:`Recipe.to_dict`).
        seed: Seed of everything random in the run.
        n_train, n_validation, n_test: Samples of each set.
        accuracy: Test accuracy, measured once, with the weights of ``best_epoch``.
        validation_accuracy: The best one, by which the weights were chosen.
        epochs, best_epoch: Trained epochs; epoch (from 1) of the stored weights.
        seconds: Duration of training and validation, all sessions of a resumed run together.
        parameters: Number of trainable parameters of the model.
        layers: Layer name -> {"horizon": [...], "size": [...]} in samples per axis.
        folder: Folder of the run; not written.
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
    written: str = field(default_factory=lambda: _now())
    folder: Path = field(default=Path(), compare=False)

    def save(self) -> None:
        """Write ``folder/record.json`` atomically."""
        values = asdict(self)
        del values["folder"]
        write_json(self.folder / "record.json", values)

    @classmethod
    def load(cls, folder: str | Path) -> RunRecord:
        """Read ``folder/record.json``.

        Raises:
            FileNotFoundError: The folder has no finished run.
            ValueError: The file is no complete record of a run.
        """
        folder = Path(folder)
        path = folder / "record.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            known = {item.name for item in fields(cls)}
            arguments = {key: value for key, value in values.items() if key in known}
            return cls(**arguments, folder=folder)
        except FileNotFoundError:
            raise FileNotFoundError(f"no finished run in {folder}: {path} does not exist.") from None
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is not a complete record of a run: {error}") from error


def describe_layers(model: nn.Module) -> dict[str, dict[str, list[int]]]:
    """Return layer name -> horizon and learned size of every layer that learns its size."""
    layers = {}
    for name, size in sizes(model).items():
        layer: Any = model.get_submodule(name)
        layers[name] = {
            "horizon": list(layer.kernel_size),
            "size": list(size),
        }
    return layers


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that affect a run."""
    package_versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            package_versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return package_versions


def machine() -> dict[str, Any]:
    """Return processor, cores, threads of torch, GPU and operating system."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": platform.platform(),
    }


def command() -> str:
    """Return the command line of this process, ready to paste into a shell."""
    return shlex.join([*_program(Path(sys.argv[0])), *sys.argv[1:]])


def _program(path: Path) -> list[str]:
    """Return the words that start a program: its name, or ``python -m`` and the name of its package."""
    if path.parts[-2:] in _PROGRAM_FILES:
        return ["flexkern"]
    if path.name == "__main__.py":
        return ["python", "-m", path.parent.name]
    return [path.name or "python"]


def command_without_places() -> str:
    """Return the command line without the folders and files of this machine."""
    words: list[str] = []
    for word in shlex.split(command()):
        name, equals, value = word.partition("=")
        if words and words[-1] in _PATH_OPTIONS:
            words.append("PATH")
        elif equals and name in _PATH_OPTIONS:
            words += [name, "PATH"]
        elif word.startswith(("/", "~")):
            words.append("PATH")
        elif value.startswith(("/", "~")):
            words.append(f"{name}=PATH")
        else:
            words.append(word)
    return shlex.join(words)


def write_result(out: str | Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Write a result as JSON together with the command, commit, machine and versions that gave it; return both."""
    path = Path(out)
    complete = {
        **result,
        "command": command_without_places(),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, complete)
    return complete


def commit() -> str | None:
    """Return the commit of the flexkern checkout (with -dirty if changed); None for an installed package."""
    folder = Path(__file__).resolve().parent
    try:
        # An installed copy may lie inside another repository: ask only where our own file is tracked.
        _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    process = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return process.stdout.strip()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
