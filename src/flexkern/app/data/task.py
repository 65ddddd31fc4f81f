"""What a data set is: tensors for training and test, class names, and what has to be stored with a run.

Shapes: N samples, C channels, S the spatial axes: (H, W) of images, (T,) of series. Labels are 0..classes-1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

Part = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A classification data set in memory, checked when it is made.

    Args:
        name: how messages and records call it.
        x_train, x_test: float32 (N, C, *S), finite.
        y_train, y_test: int64 (N,), each in 0..len(class_names)-1.
        class_names: one name a class, all different.
        lengths_train, lengths_test: int64 (N,) valid samples of each series, for series (N, C, T) padded
            with zeros at the end; None when every series has the full length T.
        extras: tensors a run must keep to be repeated ("permutation", "mean", "std", ...). One key has a
            meaning here: "suffix" (C, T') is appended to every series by `complete`, batch by batch,
            since the whole padded set would not fit in memory (noise-padded CIFAR-10: 23 GB).

    Raises:
        ValueError: a wrong dtype, shape, label or length, or NaN; it names the array and what would be right.

    Example:
        >>> x, y = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1])
        >>> Task("toy", x, y, x[:2], y[:2], class_names=("a", "b"))
        Task('toy': 6 train + 2 test samples of (1, 8, 8), 2 classes)
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    class_names: tuple[str, ...]
    lengths_train: Tensor | None = None
    lengths_test: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.class_names or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"`class_names` must be different names, at least one, got {self.class_names}.")
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            _check_inputs(f"x_{part}", x)
            _check_labels(f"y_{part}", y, len(x), self.classes)
            _check_lengths(f"lengths_{part}", getattr(self, f"lengths_{part}"), x)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            got = f"{tuple(self.x_train.shape[1:])} and {tuple(self.x_test.shape[1:])}"
            raise ValueError(f"`x_train` and `x_test` must have samples of one shape, got {got}.")
        suffix = self.extras.get("suffix")
        series = self.x_train.ndim == 3 and self.lengths_train is None
        if suffix is not None and not (series and suffix.ndim == 2 and len(suffix) == self.channels):
            raise ValueError(f"`suffix` must be ({self.channels}, T') beside series of full length.")

    @property
    def channels(self) -> int:
        """C, the channels of one sample."""
        return self.x_train.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """S, the spatial shape of one sample as the model sees it (a suffix is counted)."""
        suffix = self.extras.get("suffix")
        last = self.x_train.shape[-1] + (0 if suffix is None else suffix.shape[-1])
        return (*self.x_train.shape[2:-1], last)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def complete(self, x: Tensor) -> Tensor:
        """A batch (B, C, *S0) as the model must see it: the suffix, if any, appended on the last axis.

        Call it on every batch, after augmentation; without a suffix it returns `x` itself.
        """
        suffix = self.extras.get("suffix")
        if suffix is None:
            return x
        return torch.cat([x, suffix.to(x).expand(len(x), -1, -1)], dim=-1)

    def __repr__(self) -> str:
        counts = f"{len(self.x_train)} train + {len(self.x_test)} test samples"
        return f"Task({self.name!r}: {counts} of {(self.channels, *self.shape)}, {self.classes} classes)"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Inputs and labels of the three parts; of padded series, also `lengths` by the name of the part."""

    train: Part
    validation: Part
    test: Part
    lengths: dict[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = f"train={len(self.train[1])}, validation={len(self.validation[1])}, test={len(self.test[1])}"
        return f"Split({sizes})"


def split_task(task: Task, fraction: float = 0.1, seed: int = 0, *, train_share: float = 1.0) -> Split:
    """Takes a stratified validation part out of the training data; the test set is only passed on.

    Args:
        task: the data set.
        fraction: share of every class that goes to validation, in (0, 1).
        seed: the same seed gives the same split.
        train_share: share of what is left of every class that is trained on, in (0, 1]; the others are not used.

    Raises:
        ValueError: `fraction` outside (0, 1), `train_share` outside (0, 1], or no class with two samples to share.

    Example:
        >>> x, y = torch.rand(20, 1, 4), torch.arange(20) % 2
        >>> split_task(Task("toy", x, y, x, y, ("a", "b")), fraction=0.2)
        Split(train=16, validation=4, test=20)
    """
    if not 0 < train_share <= 1:
        raise ValueError(f"`train_share` must be above 0 and at most 1, got {train_share}.")
    train, held = hold_out(task.y_train, fraction, seed)
    if train_share < 1:
        train = train[hold_out(task.y_train[train], train_share, seed)[1]]
    lengths: dict[str, Tensor] = {}
    if task.lengths_train is not None:
        lengths |= {"train": task.lengths_train[train], "validation": task.lengths_train[held]}
    if task.lengths_test is not None:
        lengths["test"] = task.lengths_test
    return Split(
        train=(task.x_train[train], task.y_train[train]),
        validation=(task.x_train[held], task.y_train[held]),
        test=(task.x_test, task.y_test),
        lengths=lengths,
    )


def hold_out(labels: Tensor, fraction: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Indices (kept, held out), both ascending, with `fraction` of every class held out.

    Of each class round(fraction * n) samples are taken, at least one and never all; a class with a single
    sample is kept.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be between 0 and 1, got {fraction}.")
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        count = min(max(math.floor(fraction * len(members) + 0.5), 1), len(members) - 1)
        held[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    if not held.any():
        raise ValueError("some class must have two samples or more to hold one out, every class has one.")
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def standardise(task: Task) -> Task:
    """Zero mean and unit standard deviation a channel, measured on the training part alone.

    x' = (x - mean_c) / std_c. Padding of series is neither measured nor moved (it stays 0), and neither is a
    suffix. A constant channel has std_c = 1. The two vectors (C,) are kept as extras "mean" and "std".

    Raises:
        ValueError: the task is standardised already.

    Example:
        >>> x, y = torch.rand(20, 3, 16) + 5, torch.arange(20) % 2
        >>> bool(standardise(Task("toy", x, y, x, y, ("a", "b"))).x_train.mean().abs() < 1e-4)
        True
    """
    if "mean" in task.extras:
        raise ValueError(f"task {task.name!r} is standardised already (its extras hold a mean).")
    x = task.x_train
    if task.lengths_train is None:
        values = x.transpose(0, 1).flatten(1)
    else:
        values = x.transpose(1, 2)[_valid(x, task.lengths_train)].T
    mean, std = values.mean(dim=1), values.std(dim=1, correction=0)
    # A constant channel leaves a rounding error of about |mean| * 1e-7 as its std.
    std = torch.where(std <= 1e-6 * mean.abs(), torch.ones_like(std), std)
    return replace(
        task,
        x_train=normalise(x, mean, std, task.lengths_train),
        x_test=normalise(task.x_test, mean, std, task.lengths_test),
        extras={**task.extras, "mean": mean, "std": std},
    )


def normalise(x: Tensor, mean: Tensor, std: Tensor, lengths: Tensor | None = None) -> Tensor:
    """``(x - mean) / std`` for each channel; padding beyond ``lengths`` stays 0.

    Example:
        >>> normalise(torch.ones(2, 1, 3), torch.tensor([1.0]), torch.tensor([2.0])).sum().item()
        0.0
    """
    column = (-1,) + (1,) * (x.ndim - 2)
    out = (x - mean.view(column)).div_(std.view(column))
    return out if lengths is None else out * _valid(x, lengths).unsqueeze(1)


def _valid(x: Tensor, lengths: Tensor) -> Tensor:  # -> (N, T) bool
    return torch.arange(x.shape[-1]) < lengths.unsqueeze(1)


def _check_inputs(name: str, x: Tensor) -> None:
    if x.dtype != torch.float32 or x.ndim < 3 or x.numel() == 0:
        got = f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
        raise ValueError(f"`{name}` must be float32 (N, C, *S) with at least one sample, got {got}.")
    low, high = torch.aminmax(x)  # one pass without a mask; a NaN makes both NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        first = int((~x.flatten(1).isfinite().all(dim=1)).nonzero()[0])
        raise ValueError(f"`{name}` must be finite, sample {first} holds NaN or infinity.")


def _check_labels(name: str, y: Tensor, samples: int, classes: int) -> None:
    if y.dtype != torch.int64 or y.shape != (samples,):
        got = f"{str(y.dtype).removeprefix('torch.')} {tuple(y.shape)}"
        raise ValueError(f"`{name}` must be int64 ({samples},), one label a sample, got {got}.")
    wrong = ((y < 0) | (y >= classes)).nonzero().flatten()
    if len(wrong):
        first = int(wrong[0])
        raise ValueError(f"`{name}` must lie in 0..{classes - 1}, got {int(y[first])} at sample {first}.")


def _check_lengths(name: str, lengths: Tensor | None, x: Tensor) -> None:
    if lengths is None:
        return
    if x.ndim != 3 or lengths.dtype != torch.int64 or lengths.shape != (len(x),):
        got = f"{tuple(lengths.shape)} beside {tuple(x.shape)}"
        raise ValueError(f"`{name}` must be int64 ({len(x)},) beside series (N, C, T), got {got}.")
    steps = x.shape[-1]
    if lengths.min() < 1 or lengths.max() > steps:
        raise ValueError(f"`{name}` must lie in 1..{steps}, got {int(lengths.min())}..{int(lengths.max())}.")
    beyond = (x.ne(0).any(dim=1) & ~_valid(x, lengths)).any(dim=1).nonzero().flatten()
    if len(beyond):
        raise ValueError(f"`{name}`: series must be 0 beyond their length, sample {int(beyond[0])} is not.")
