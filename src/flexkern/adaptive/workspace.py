"""Memory that blocks use one after the other: fresh memory is dear, because the system clears it first."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LARGEST = 2**25
"""Bytes beyond which buffers are given back after a call."""


class Workspace:
    """Named buffers, as large as their largest use.

    Example:
        >>> import torch
        >>> work = Workspace(torch.zeros(()))
        >>> work.take("z", 2, 3).data_ptr() == work.take("z", 3, 1).data_ptr()
        True
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like.new_empty(0)
        self._held: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor of undefined values, the same memory for every call with this name."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.numel() < size:
            held = self._held[name] = self._like.new_empty(size)
        return held[:size].view(shape)

    @property
    def nbytes(self) -> int:
        """Of all buffers."""
        return sum(held.nbytes for held in self._held.values())


_free: defaultdict[Hashable, list[Workspace]] = defaultdict(list)


@contextmanager
def workspace(like: Tensor) -> Iterator[Workspace]:
    """A workspace of the dtype and device of ``like``, nobody else's meanwhile; on a CPU one is kept for the next call.

    (Other devices have allocators that keep what is freed.)

    Example:
        >>> import torch
        >>> with workspace(torch.zeros(())) as work:
        ...     work.take("z", 4).shape
        torch.Size([4])
    """
    real = like.device.type == "cpu" and type(like) in (Tensor, nn.Parameter)  # a compiler's tensors hold nothing
    kept = _free[like.dtype, torch.is_inference_mode_enabled()] if real else []
    try:
        work = kept.pop()  # a single step, so that threads and nested calls get one each
    except IndexError:
        work = Workspace(like)
    yield work
    if not kept and work.nbytes <= LARGEST:
        kept.append(work)
