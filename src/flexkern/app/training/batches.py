"""Batches: whole batches cut from tensors in memory, in an order that the seed and the epoch decide."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any parts, as in ``derive_seed(seed, "order", epoch)``; stable between processes."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Batches:
    """Iterates over ``(x, y)`` in batches of nearly equal size (they differ by one sample at most).

    The order of epoch ``e`` depends on ``(seed, e)`` only, so that a resumed run sees what an uninterrupted
    run would. There is no per-sample collation: a batch is one ``index_select``.

    Args:
        x: (N, ...) samples; y: (N,) labels.
        batch_size: largest number of samples in a batch.
        seed: None keeps the order of the tensors.

    Example:
        >>> [len(y) for x, y in Batches(torch.zeros(10, 1), torch.zeros(10), 4)]
        [4, 3, 3]
    """

    def __init__(self, x: Tensor, y: Tensor, batch_size: int, *, seed: int | None = None) -> None:
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"`x` and `y` must have the same number (> 0) of samples, got {len(x)} and {len(y)}.")
        self.x, self.y, self.batch_size, self.seed = x, y, batch_size, seed
        self.epoch = 0

    @property
    def sampler(self) -> Batches:
        """Where Lightning, which expects a DataLoader, looks for ``set_epoch``."""
        return self

    @property
    def batch_sampler(self) -> Batches:
        """Read by Lightning beside ``sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in self._order().tensor_split(len(self)):
            yield self.x[index], self.y[index]

    def _order(self) -> Tensor:
        if self.seed is None:
            return torch.arange(len(self.x))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", self.epoch))
        return torch.randperm(len(self.x), generator=generator)
