"""Storage of checkpoints: written atomically, read without running pickled code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from flexkern._support.atomic import atomic_path

from ._lightning import TorchCheckpointIO

_REQUIRED_KEYS = {
    "state_dict",
    "optimizer_states",
    "lr_schedulers",
    "callbacks",
    "epoch",
    "pytorch-lightning_version",
}


class SafeCheckpointIO(TorchCheckpointIO):
    """Checkpoints of Lightning that are complete or absent, and are always loaded with ``weights_only=True``."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: Any,
        storage_options: Any | None = None,
    ) -> None:
        """Write to a temporary file in the same folder, then move it to ``path``."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read tensors and plain containers; see :func:`read_checkpoint`."""
        return read_checkpoint(path)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint as a dict.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is damaged, or has other objects than tensors and plain containers.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(checkpoint, dict) or not checkpoint.keys() >= _REQUIRED_KEYS:
            raise ValueError("not a training checkpoint")
    except FileNotFoundError:
        raise
    except (RuntimeError, ValueError, EOFError, KeyError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"the checkpoint {path} is damaged or not ours; delete it, or train without --resume."
        ) from error
    return checkpoint
