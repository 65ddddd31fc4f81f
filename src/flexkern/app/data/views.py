"""Images seen as series: pixels in a row (sMNIST, sCIFAR), permuted (pMNIST), rows then noise (npCIFAR)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .task import Task


def flatten_pixels(task: Task, name: str | None = None) -> Task:
    """Images (N, C, H, W) read row by row as series (N, C, H * W); the channels stay channels.

    Example:
        >>> x, y = torch.rand(4, 3, 8, 8), torch.arange(4) % 2
        >>> flatten_pixels(Task("toy", x, y, x, y, ("a", "b"))).shape
        (64,)
    """
    _require_images(task)
    x_train, x_test = task.x_train.flatten(2), task.x_test.flatten(2)
    return replace(task, name=name or f"s{task.name}", x_train=x_train, x_test=x_test)


def permute_pixels(task: Task, permutation: Tensor | None = None, *, seed: int = 0, name: str | None = None) -> Task:
    """The pixels in a row, in one fixed random order for all samples: x'[..., i] = x[..., permutation[i]].

    Args:
        task: images.
        permutation: int64 (H * W,), for example the one stored with a run; None draws it from `seed`.
        seed: seed of the drawn permutation.
        name: name of the new task.

    The permutation is kept in `extras["permutation"]`.

    Raises:
        ValueError: no images, or `permutation` is not one of 0..H*W-1.
    """
    flat = flatten_pixels(task, name or f"p{task.name}")
    pixels = flat.shape[0]
    if permutation is None:
        permutation = torch.randperm(pixels, generator=torch.Generator().manual_seed(seed))
    elif not torch.equal(permutation.sort().values, torch.arange(pixels)):
        raise ValueError(f"`permutation` must be int64 and hold each of 0..{pixels - 1} once.")
    extras = {**task.extras, "permutation": permutation}
    return replace(flat, x_train=flat.x_train[..., permutation], x_test=flat.x_test[..., permutation], extras=extras)


def noise_pad(
    task: Task, noise: Tensor | None = None, *, length: int = 1000, seed: int = 0, name: str | None = None
) -> Task:
    """Images as H steps of one row each (C * W values), then `length` - H steps of N(0, 1) noise.

    A row holds its channels one after the other. The noise (C * W, length - H) is the same for all samples.
    It is kept once, in `extras["suffix"]`, and put behind every batch by `Task.complete`: the padded CIFAR-10
    would take 23 GB. Standardise after, so that the noise keeps its unit scale.

    Args:
        task: images.
        noise: (C * W, length - H), for example the one stored with a run; None draws it from `seed`.
        length: steps in all, more than H.
        seed: seed of the drawn noise.
        name: name of the new task.

    Raises:
        ValueError: no images, `length` too short, or `noise` of another shape.
    """
    _require_images(task)
    height = task.shape[0]
    if length <= height:
        raise ValueError(f"`length` must be more than the {height} rows of an image, got {length}.")
    shape = (task.channels * task.shape[1], length - height)
    if noise is None:
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    elif noise.shape != shape:
        raise ValueError(f"`noise` must be {shape}, got {tuple(noise.shape)}.")
    return replace(
        task,
        name=name or f"np{task.name}",
        x_train=_rows(task.x_train),
        x_test=_rows(task.x_test),
        extras={**task.extras, "suffix": noise},
    )


def _rows(x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C * W, H)
    return x.permute(0, 1, 3, 2).flatten(1, 2)


def _require_images(task: Task) -> None:
    if task.x_train.ndim != 4:
        got = tuple(task.x_train.shape)
        raise ValueError(f"task {task.name!r} must hold images (N, C, H, W), got {got}.")
