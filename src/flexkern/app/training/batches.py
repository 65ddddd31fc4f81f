"""Batches cut from tensors in memory, in an order that depends on the seed and the epoch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed from any parts, as in ``derive_seed(seed, "order", epoch)``; equal in all processes."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Batches:
    """Iterable over ``(x, y)`` in batches of nearly equal size (they differ by at most one sample).

    The order of epoch ``e`` depends on ``(seed, e)`` only, so that a resumed run gets the batches of an
    uninterrupted one. Samples are not collated one by one: a batch is one ``index_select``.

    Args:
        x: Samples (N, ...).
        y: Labels (N,).
        batch_size: Largest number of samples in a batch.
        seed: Seed of the order; None keeps the order of the tensors.

    Example:
        >>> [len(y) for x, y in Batches(torch.zeros(10, 1), torch.zeros(10), 4)]
        [4, 3, 3]
    """

    def __init__(self, x: Tensor, y: Tensor, batch_size: int, *, seed: int | None = None) -> None:
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"`x` and `y` must have the same number (> 0) of samples, got {len(x)} and {len(y)}.")
        self.x = x
        self.y = y
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    @property
    def sampler(self) -> Batches:
        """The object itself: Lightning, which expects a DataLoader, calls ``sampler.set_epoch``."""
        return self

    @property
    def batch_sampler(self) -> Batches:
        """The object itself: Lightning reads it together with ``sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in self._order().tensor_split(len(self)):
            yield self.x[index], self.y[index]

    def _order(self) -> Tensor:
        if self.seed is None:
            return torch.arange(len(self.x))
        order_seed = derive_seed(self.seed, "order", self.epoch)
        generator = torch.Generator().manual_seed(order_seed)
        return torch.randperm(len(self.x), generator=generator)
