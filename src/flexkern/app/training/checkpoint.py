"""How checkpoints are stored: written atomically, read without running pickled code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from flexkern._support.atomic import atomic_path

from ._lightning import TorchCheckpointIO

_REQUIRED = {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "epoch", "pytorch-lightning_version"}


class SafeCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, whole or absent, and always loaded with ``weights_only=True``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes beside ``path``, then moves into it."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads tensors and plain containers; anything else, or a damaged file, is a ``ValueError``."""
        return read_checkpoint(path)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint as a dict; ``ValueError`` naming the file when it is damaged or holds other objects."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(checkpoint, dict) or not checkpoint.keys() >= _REQUIRED:
            raise ValueError("not a training checkpoint")
    except FileNotFoundError:
        raise
    except (RuntimeError, ValueError, EOFError, KeyError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"the checkpoint {path} is damaged or not ours; delete it, or train without --resume."
        ) from error
    return checkpoint
