"""What a data set is: tensors for training and test, class names, and what has to be stored with a run.

Shapes: N samples, C channels, S the spatial axes: (H, W) of images, (T,) of series. Labels are 0..classes-1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

Samples = tuple[Tensor, Tensor]
"""Inputs (N, C, *S) and labels (N,)."""


@dataclass(frozen=True, eq=False)
class BatchTransform:
    """A fixed change of every batch, made after augmentation and just before the model; here, none.

    A view of a data set uses a subclass where the changed data would not fit in memory. The tensors of its
    `state` are stored with a run, since the run can be repeated only with the same ones.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the batch (B, C, *S0) as the model must see it, on the same device."""
        return x

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a run must store, by name."""
        return {}

    def with_state(self, state: Mapping[str, Tensor]) -> BatchTransform:
        """Return a copy with the stored tensors of a run; names of other owners are ignored."""
        return self


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A classification data set in memory, checked when it is created.

    Args:
        name: Name in messages and records.
        x_train, x_test: float32 (N, C, *S), finite.
        y_train, y_test: int64 (N,), each in 0..len(class_names)-1.
        class_names: One name per class, all different.
        lengths_train, lengths_test: int64 (N,) valid samples of each series, for series (N, C, T) padded
            with zeros at the end; None when every series has the full length T.
        extras: Tensors that a run must store to be repeated ("permutation", "mean", "std", ...).
        batch_transform: Applied to every batch, after augmentation; only for samples of full length.

    Raises:
        ValueError: A dtype, shape, label or length is wrong, or a value is not finite; the message names the array
            and the rule.

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
    batch_transform: BatchTransform = field(default_factory=BatchTransform)

    def __post_init__(self) -> None:
        different_names = set(self.class_names)
        if not self.class_names or len(different_names) != self.classes:
            raise ValueError(f"`class_names` must be different names, at least one, got {self.class_names}.")
        for subset in ("train", "test"):
            x = getattr(self, f"x_{subset}")
            y = getattr(self, f"y_{subset}")
            lengths = getattr(self, f"lengths_{subset}")
            _check_inputs(f"x_{subset}", x)
            _check_labels(f"y_{subset}", y, len(x), self.classes)
            _check_lengths(f"lengths_{subset}", lengths, x)
        train_shape = tuple(self.x_train.shape[1:])
        test_shape = tuple(self.x_test.shape[1:])
        if train_shape != test_shape:
            raise ValueError(
                f"`x_train` and `x_test` must have samples of one shape, got {train_shape} and {test_shape}."
            )
        padded = self.lengths_train is not None or self.lengths_test is not None
        if padded and self.batch_transform.state():
            raise ValueError("`batch_transform` must not be combined with `lengths_train` or `lengths_test`.")
        self.batch_transform(self.x_train[:1])  # Raises if it does not fit the samples.

    @property
    def channels(self) -> int:
        """C, the channels of one sample."""
        return self.x_train.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """S, the spatial shape of one sample as the model sees it, after `batch_transform`."""
        sample = self.batch_transform(self.x_train[:1])
        return tuple(sample.shape[2:])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def __repr__(self) -> str:
        counts = f"{len(self.x_train)} train + {len(self.x_test)} test samples"
        sample_shape = (self.channels, *self.shape)
        return f"Task({self.name!r}: {counts} of {sample_shape}, {self.classes} classes)"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Inputs and labels of the training, validation and test sets; `lengths` by name for padded series."""

    train: Samples
    validation: Samples
    test: Samples
    lengths: dict[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = []
        for name in ("train", "validation", "test"):
            _, labels = getattr(self, name)
            sizes.append(f"{name}={len(labels)}")
        return f"Split({', '.join(sizes)})"


def split_task(
    task: Task,
    fraction: float = 0.1,
    seed: int = 0,
    *,
    train_share: float = 1.0,
) -> Split:
    """Take a stratified validation set out of the training data; the test set is passed on unchanged.

    Args:
        task: The data set.
        fraction: Fraction of every class that goes to validation, in (0, 1).
        seed: The same seed gives the same split.
        train_share: Fraction of the remaining samples of every class that are trained on, in (0, 1]. The others are
            not used.

    Raises:
        ValueError: `fraction` is outside (0, 1), `train_share` outside (0, 1], or no class has two samples.

    Example:
        >>> x, y = torch.rand(20, 1, 4), torch.arange(20) % 2
        >>> split_task(Task("toy", x, y, x, y, ("a", "b")), fraction=0.2)
        Split(train=16, validation=4, test=20)
    """
    if not 0 < train_share <= 1:
        raise ValueError(f"`train_share` must be above 0 and at most 1, got {train_share}.")
    train, validation = hold_out(task.y_train, fraction, seed)
    if train_share < 1:
        _, share = hold_out(task.y_train[train], train_share, seed)
        train = train[share]
    lengths: dict[str, Tensor] = {}
    if task.lengths_train is not None:
        lengths["train"] = task.lengths_train[train]
        lengths["validation"] = task.lengths_train[validation]
    if task.lengths_test is not None:
        lengths["test"] = task.lengths_test
    return Split(
        train=(task.x_train[train], task.y_train[train]),
        validation=(task.x_train[validation], task.y_train[validation]),
        test=(task.x_test, task.y_test),
        lengths=lengths,
    )


def hold_out(
    labels: Tensor,
    fraction: float,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return the indices (remaining, held out), both ascending, with `fraction` of every class held out.

    Of each class round(fraction * n) samples are held out, at least one and never all. A class with a single
    sample stays.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be between 0 and 1, got {fraction}.")
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = _indices(labels == label)
        count = math.floor(fraction * len(members) + 0.5)
        count = max(count, 1)
        count = min(count, len(members) - 1)
        order = torch.randperm(len(members), generator=generator)
        chosen = members[order[:count]]
        held_out[chosen] = True
    if not held_out.any():
        raise ValueError("some class must have two samples or more to hold one out, every class has one.")
    return _indices(~held_out), _indices(held_out)


def standardise(task: Task) -> Task:
    """Normalise each channel to zero mean and unit standard deviation, measured on the training set alone.

    x' = (x - mean_c) / std_c. Padding of series is not measured and stays 0; what `batch_transform` adds is not
    affected. A constant channel has std_c = 1. The two vectors (C,) are stored as extras "mean" and "std".

    Raises:
        ValueError: The task is standardised already.

    Example:
        >>> x, y = torch.rand(20, 3, 16) + 5, torch.arange(20) % 2
        >>> bool(standardise(Task("toy", x, y, x, y, ("a", "b"))).x_train.mean().abs() < 1e-4)
        True
    """
    if "mean" in task.extras:
        raise ValueError(f"task {task.name!r} is standardised already (its extras have a mean).")
    x = task.x_train
    if task.lengths_train is None:
        values = x.transpose(0, 1).flatten(1)
    else:
        valid = _valid_steps(x, task.lengths_train)
        values = x.transpose(1, 2)[valid].T
    mean = values.mean(dim=1)
    std = values.std(dim=1, correction=0)
    # Rounding gives a constant channel a std of about |mean| * 1e-7.
    constant = std <= 1e-6 * mean.abs()
    std = torch.where(constant, torch.ones_like(std), std)
    return replace(
        task,
        x_train=normalise(x, mean, std, task.lengths_train),
        x_test=normalise(task.x_test, mean, std, task.lengths_test),
        extras={**task.extras, "mean": mean, "std": std},
    )


def normalise(
    x: Tensor,
    mean: Tensor,
    std: Tensor,
    lengths: Tensor | None = None,
) -> Tensor:
    """Return ``(x - mean) / std`` for each channel; padding beyond ``lengths`` stays 0.

    Example:
        >>> normalise(torch.ones(2, 1, 3), torch.tensor([1.0]), torch.tensor([2.0])).sum().item()
        0.0
    """
    per_channel = (-1,) + (1,) * (x.ndim - 2)
    normalised = x - mean.view(per_channel)
    normalised.div_(std.view(per_channel))
    if lengths is None:
        return normalised
    valid = _valid_steps(x, lengths)
    return normalised * valid.unsqueeze(1)


def _valid_steps(x: Tensor, lengths: Tensor) -> Tensor:  # -> (N, T) bool
    steps = torch.arange(x.shape[-1])
    return steps < lengths.unsqueeze(1)


def _check_inputs(name: str, x: Tensor) -> None:
    if x.dtype != torch.float32 or x.ndim < 3 or x.numel() == 0:
        raise ValueError(f"`{name}` must be float32 (N, C, *S) with at least one sample, got {_describe(x)}.")
    low, high = torch.aminmax(x)  # One pass without a mask; a NaN makes both NaN.
    if math.isfinite(low) and math.isfinite(high):
        return
    finite = x.flatten(1).isfinite().all(dim=1)
    sample = _first(~finite)
    raise ValueError(f"`{name}` must be finite, sample {sample} has NaN or infinity.")


def _check_labels(name: str, y: Tensor, samples: int, classes: int) -> None:
    if y.dtype != torch.int64 or y.shape != (samples,):
        raise ValueError(f"`{name}` must be int64 ({samples},), one label per sample, got {_describe(y)}.")
    out_of_range = (y < 0) | (y >= classes)
    if out_of_range.any():
        sample = _first(out_of_range)
        label = int(y[sample])
        raise ValueError(f"`{name}` must lie in 0..{classes - 1}, got {label} at sample {sample}.")


def _check_lengths(name: str, lengths: Tensor | None, x: Tensor) -> None:
    if lengths is None:
        return
    if x.ndim != 3 or lengths.dtype != torch.int64 or lengths.shape != (len(x),):
        shapes = f"{_describe(lengths)} for {tuple(x.shape)}"
        raise ValueError(f"`{name}` must be int64 ({len(x)},) for series (N, C, T), got {shapes}.")
    steps = x.shape[-1]
    low = int(lengths.min())
    high = int(lengths.max())
    if low < 1 or high > steps:
        raise ValueError(f"`{name}` must lie in 1..{steps}, got {low}..{high}.")
    nonzero = x.ne(0).any(dim=1)
    beyond = nonzero & ~_valid_steps(x, lengths)
    wrong = beyond.any(dim=1)
    if wrong.any():
        sample = _first(wrong)
        raise ValueError(f"`{name}`: series must be 0 beyond their length, sample {sample} is not.")


def _describe(tensor: Tensor) -> str:
    """Return ``float32 (2, 3)``."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return f"{dtype} {tuple(tensor.shape)}"


def _indices(mask: Tensor) -> Tensor:
    """Return the indices of True, ascending."""
    return mask.nonzero().flatten()


def _first(mask: Tensor) -> int:
    """Return the index of the first True."""
    return int(_indices(mask)[0])
