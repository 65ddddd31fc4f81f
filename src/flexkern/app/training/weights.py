"""Weights files: safetensors whose metadata say how to rebuild the model and prepare its input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flexkern._support.atomic import write_tensors
from flexkern.models import create_model

from .settings import nearest

_KEY = "flexkern"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class WeightsInfo:
    """What a weights file says about its tensors.

    Args:
        model, options: arguments of ``create_model``, without the two that follow.
        in_channels, class_names: of the task; ``shape`` is the spatial shape it was trained on.
        task: name for ``flexkern.app.data.load_task``.
        mean, std: per channel, subtracted and divided before the model; empty when data were not
            standardised.
    """

    model: str
    options: dict[str, Any]
    in_channels: int
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    task: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    format: int = field(default=_FORMAT)

    def build(self) -> nn.Module:
        """The model, with fresh weights."""
        return build_model(self.model, self.options, self.in_channels, len(self.class_names))


def build_model(name: str, options: dict[str, Any], in_channels: int, classes: int) -> nn.Module:
    """``create_model`` with the task's channels and classes; unusable options are a ``ValueError``."""
    try:
        return create_model(name, in_channels=in_channels, classes=classes, **options)
    except TypeError as error:
        raise ValueError(f"model `{name}` cannot be built with {options}: {error}") from error


def save_weights(path: str | Path, model: nn.Module, info: WeightsInfo) -> None:
    """Writes the model's state and ``info``, atomically."""
    write_tensors(path, model.state_dict(), {_KEY: json.dumps(asdict(info)), "format": "pt"})


def load_weights(path: str | Path) -> tuple[nn.Module, WeightsInfo]:
    """The model of a weights file, in evaluation mode, and what the file says about it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, truncated, not one of ours, or weights that do not fit the model.
    """
    tensors, info = read_weights(path)
    model = info.build()
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit model `{info.model}`: {_first_line(error)}") from error
    return model.eval(), info


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], WeightsInfo]:
    """Tensors and information of a weights file; no model is built."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {_first_line(error)}") from error
    return tensors, _parse_info(metadata, path)


def find_weights(run_or_weights: str | Path) -> Path:
    """Path of a weights file from a run folder, a .safetensors file, or the name of weights in the package.

    Raises:
        FileNotFoundError: none of these; the message lists the names that come with the package.
    """
    path = Path(run_or_weights)
    if path.is_file():
        return path
    if path.is_dir():
        if not (path / "weights.safetensors").is_file():
            raise FileNotFoundError(f"the folder {path} holds no weights.safetensors; is it a run folder?")
        return path / "weights.safetensors"
    shipped = shipped_weights()
    if str(run_or_weights) in shipped:
        return shipped[str(run_or_weights)]
    hint = nearest(str(run_or_weights), shipped)
    names = f" Did you mean `{hint}`?" if hint else f" Shipped weights: {', '.join(shipped) or 'none'}."
    raise FileNotFoundError(f"no run folder, weights file or shipped weights `{run_or_weights}`.{names}")


def shipped_weights() -> dict[str, Path]:
    """Name -> path of the weights that come with the package."""
    folder = Path(str(resources.files("flexkern.app"))) / "weights"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def _parse_info(metadata: dict[str, str], path: Path) -> WeightsInfo:
    try:
        values = json.loads(metadata[_KEY])
        number = values.get("format")
        if number != _FORMAT:
            raise ValueError(f"{path} has weights format {number}; this version reads {_FORMAT}: upgrade flexkern.")
        names: Sequence[str] = ("class_names", "shape", "mean", "std")
        return WeightsInfo(**{**values, **{name: tuple(values[name]) for name in names}})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} does not say which model it is for: it was not written by flexkern.") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])
