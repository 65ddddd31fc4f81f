"""Memory that successive blocks share: fresh memory is expensive, because the system clears it first."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LARGEST = 2**25
"""Bytes beyond which buffers are released after a call."""


class Workspace:
    """Named buffers, each as large as its largest use.

    Example:
        >>> import torch
        >>> work = Workspace(torch.zeros(()))
        >>> work.take("z", 2, 3).data_ptr() == work.take("z", 3, 1).data_ptr()
        True
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like.new_empty(0)
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Return a tensor of undefined values; calls with the same name share its memory."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < size:
            buffer = self._like.new_empty(size)
            self._buffers[name] = buffer
        return buffer[:size].view(shape)

    @property
    def nbytes(self) -> int:
        """Size of all buffers in bytes."""
        return sum(buffer.nbytes for buffer in self._buffers.values())


_free: defaultdict[Hashable, list[Workspace]] = defaultdict(list)


@contextmanager
def workspace(like: Tensor) -> Iterator[Workspace]:
    """Yield a workspace of the dtype and device of ``like``, exclusive inside the ``with`` block.

    On a CPU one workspace is kept for the next call. The allocators of other devices keep freed memory themselves.

    Example:
        >>> import torch
        >>> with workspace(torch.zeros(())) as work:
        ...     work.take("z", 4).shape
        torch.Size([4])
    """
    # A compiler's tensors have no memory to keep.
    keepable = like.device.type == "cpu" and type(like) in (Tensor, nn.Parameter)
    free: list[Workspace] = []
    if keepable:
        free = _free[like.dtype, torch.is_inference_mode_enabled()]
    try:
        work = free.pop()  # atomic, so that threads and nested calls get different workspaces
    except IndexError:
        work = Workspace(like)
    yield work
    if not free and work.nbytes <= LARGEST:
        free.append(work)
