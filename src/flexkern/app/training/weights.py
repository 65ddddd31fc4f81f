"""Weights files: safetensors with metadata on how to rebuild the model and prepare its input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flexkern._support.atomic import write_tensors
from flexkern._support.nearest import nearest
from flexkern.models import create_model

_KEY = "flexkern"
_FORMAT = 1
_TUPLE_FIELDS = ("class_names", "shape", "mean", "std")
"""Fields that JSON stores as lists."""


@dataclass(frozen=True, kw_only=True)
class WeightsInfo:
    """Metadata of a weights file.

    Args:
        model, options: Arguments of ``create_model``, without the two that follow.
        in_channels, class_names: Channels and classes of the task.
        shape: Spatial shape of the samples that the model was trained on.
        task: Name for ``flexkern.app.data.load_task``.
        mean, std: Per channel, to normalise inputs as ``(x - mean) / std``; empty if data were not
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
        """Return the model with fresh weights."""
        return build_model(
            self.model,
            self.options,
            self.in_channels,
            len(self.class_names),
        )


def build_model(
    name: str,
    options: dict[str, Any],
    in_channels: int,
    classes: int,
) -> nn.Module:
    """Call ``create_model`` with the task's channels and classes; unusable options are a ``ValueError``."""
    try:
        return create_model(
            name,
            in_channels=in_channels,
            classes=classes,
            **options,
        )
    except TypeError as error:
        raise ValueError(f"model `{name}` cannot be built with {options}: {error}") from error


def save_weights(path: str | Path, model: nn.Module, info: WeightsInfo) -> None:
    """Write the model's state and ``info`` atomically."""
    metadata = {
        _KEY: json.dumps(asdict(info)),
        "format": "pt",
    }
    write_tensors(path, model.state_dict(), metadata)


def load_weights(path: str | Path) -> tuple[nn.Module, WeightsInfo]:
    """Return the model of a weights file, in evaluation mode, and the file's metadata.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is no complete safetensors file, was not written by flexkern, or its weights do not fit
            the model.
    """
    tensors, info = read_weights(path)
    model = info.build()
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit model `{info.model}`: {_one_line(error)}") from error
    return model.eval(), info


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], WeightsInfo]:
    """Return the tensors and metadata of a weights file without building the model."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}.")
    tensors, metadata = read_tensors(path)
    return tensors, _parse_info(metadata, path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: The file is no complete safetensors file.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ImportError("weights files need the `train` extra: pip install 'flexkern[train]'.") from error
    tensors = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                tensors[name] = file.get_tensor(name)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file: {_one_line(error)}") from error
    return tensors, metadata


def find_weights(run_or_weights: str | Path) -> Path:
    """Return the weights file of a run folder, of a path, or of the name of weights in the package.

    Raises:
        FileNotFoundError: It is none of these; the message lists the names in the package.
    """
    path = Path(run_or_weights)
    if path.is_file():
        return path
    if path.is_dir():
        weights = path / "weights.safetensors"
        if not weights.is_file():
            raise FileNotFoundError(f"the folder {path} has no weights.safetensors; is it a run folder?")
        return weights
    name = str(run_or_weights)
    shipped = shipped_weights()
    if name in shipped:
        return shipped[name]
    suggestion = nearest(name, shipped)
    if suggestion is not None:
        remedy = f"Did you mean `{suggestion}`?"
    else:
        remedy = f"Shipped weights: {', '.join(shipped) or 'none'}."
    raise FileNotFoundError(f"no run folder, weights file or shipped weights `{name}`. {remedy}")


def shipped_weights() -> dict[str, Path]:
    """Return name -> path of the weights in the package."""
    folder = Path(str(resources.files("flexkern.app"))) / "weights"
    paths = sorted(folder.glob("*.safetensors"))
    return {path.stem: path for path in paths}


def _parse_info(metadata: dict[str, str], path: Path) -> WeightsInfo:
    try:
        values = json.loads(metadata[_KEY])
        file_format = values.get("format")
        if file_format != _FORMAT:
            raise ValueError(
                f"{path} has weights format {file_format}; this version reads {_FORMAT}: upgrade flexkern."
            )
        for name in _TUPLE_FIELDS:
            values[name] = tuple(values[name])
        return WeightsInfo(**values)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} has no metadata on its model: it was not written by flexkern.") from error


def _one_line(error: Exception) -> str:
    """Return the first two lines of a message that are not blank, as one line."""
    lines = []
    for line in str(error).splitlines():
        if line.strip():
            lines.append(line.strip())
    return " ".join(lines[:2])
