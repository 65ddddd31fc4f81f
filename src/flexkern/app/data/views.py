"""Images as series: pixels in a row (sMNIST, sCIFAR), permuted (pMNIST), rows followed by noise (npCIFAR)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .task import BatchTransform, Task


def flatten_pixels(task: Task, name: str | None = None) -> Task:
    """Read images (N, C, H, W) row by row as series (N, C, H * W); the channels stay channels.

    Example:
        >>> x, y = torch.rand(4, 3, 8, 8), torch.arange(4) % 2
        >>> flatten_pixels(Task("toy", x, y, x, y, ("a", "b"))).shape
        (64,)
    """
    _require_images(task)
    return replace(
        task,
        name=name or f"s{task.name}",
        x_train=task.x_train.flatten(2),
        x_test=task.x_test.flatten(2),
    )


def permute_pixels(
    task: Task,
    permutation: Tensor | None = None,
    *,
    seed: int = 0,
    name: str | None = None,
) -> Task:
    """Read the pixels in one fixed random order for all samples: x'[..., i] = x[..., permutation[i]].

    The permutation is stored in `extras["permutation"]`.

    Args:
        task: Images.
        permutation: int64 (H * W,), for example the one stored with a run; None draws it from `seed`.
        seed: Seed of the drawn permutation.
        name: Name of the new task.

    Raises:
        ValueError: The task has no images, or `permutation` is no permutation of 0..H*W-1.
    """
    flat = flatten_pixels(task, name or f"p{task.name}")
    pixels = flat.shape[0]
    if permutation is None:
        generator = torch.Generator().manual_seed(seed)
        permutation = torch.randperm(pixels, generator=generator)
    elif not torch.equal(permutation.sort().values, torch.arange(pixels)):
        raise ValueError(f"`permutation` must be int64 and have each of 0..{pixels - 1} once.")
    return replace(
        flat,
        x_train=flat.x_train[..., permutation],
        x_test=flat.x_test[..., permutation],
        extras={**task.extras, "permutation": permutation},
    )


@dataclass(frozen=True, eq=False)
class NoisePadding(BatchTransform):
    """Appends the same noise (C, T') to every series (B, C, T) of a batch, on its last axis."""

    noise: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return the series followed by the noise: (B, C, T + T')."""
        if x.ndim != 3 or x.shape[1] != len(self.noise):
            raise ValueError(
                f"`x` must be series (B, {len(self.noise)}, T), as many channels as the noise, got {tuple(x.shape)}."
            )
        noise = self.noise.to(x).expand(len(x), -1, -1)
        return torch.cat([x, noise], dim=-1)

    def state(self) -> dict[str, Tensor]:
        """Return the noise, under the name that run folders use for it."""
        return {"suffix": self.noise}

    def with_state(self, state: Mapping[str, Tensor]) -> NoisePadding:
        """Return the transform with the stored noise of a run, or this one if the run stored none."""
        if "suffix" not in state:
            return self
        return NoisePadding(state["suffix"])


def noise_pad(
    task: Task,
    noise: Tensor | None = None,
    *,
    length: int = 1000,
    seed: int = 0,
    name: str | None = None,
) -> Task:
    """Read images as H steps of one row each (C * W values), then `length` - H steps of N(0, 1) noise.

    A row has its channels one after the other. The noise (C * W, length - H) is the same for all samples. It is
    stored once and appended to every batch by `Task.batch_transform`, because the padded CIFAR-10 would take 23 GB.
    Standardise after this view, so that the noise keeps its unit scale.

    Args:
        task: Images.
        noise: (C * W, length - H), for example the one stored with a run; None draws it from `seed`.
        length: Steps in total, more than H.
        seed: Seed of the drawn noise.
        name: Name of the new task.

    Raises:
        ValueError: The task has no images, `length` is too short, or `noise` has another shape.
    """
    _require_images(task)
    height, width = task.shape
    if length <= height:
        raise ValueError(f"`length` must be more than the {height} rows of an image, got {length}.")
    noise_shape = (task.channels * width, length - height)
    if noise is None:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(noise_shape, generator=generator)
    elif noise.shape != noise_shape:
        raise ValueError(f"`noise` must be {noise_shape}, got {tuple(noise.shape)}.")
    return replace(
        task,
        name=name or f"np{task.name}",
        x_train=_rows_as_steps(task.x_train),
        x_test=_rows_as_steps(task.x_test),
        batch_transform=NoisePadding(noise),
    )


def _rows_as_steps(x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C * W, H)
    return x.permute(0, 1, 3, 2).flatten(1, 2)


def _require_images(task: Task) -> None:
    if task.x_train.ndim != 4:
        raise ValueError(f"task {task.name!r} must have images (N, C, H, W), got {tuple(task.x_train.shape)}.")
