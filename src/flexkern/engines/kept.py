"""Tensors that are made once and used again, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Kept(Generic[T]):
    """A cache bounded by the bytes of the tensors it holds; what was not used for longest goes first.

    Example:
        >>> kept = Kept(lambda made: [made], limit=1000)
        >>> kept.get("ones", lambda: torch.ones(3)) is kept.get("ones", lambda: torch.ones(3))
        True
    """

    def __init__(self, tensors: Callable[[T], list[Tensor]], *, limit: int) -> None:
        self._tensors, self._limit = tensors, limit
        self._entries: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for ``key``, or made now; large or unusual tensors are made anew every time."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        # Not as inference tensors: another caller may differentiate through them.
        with torch.inference_mode(False):
            made = make()
        # Tracers have tensors of their own, which must not outlive the trace.
        if all(type(tensor) is Tensor for tensor in self._tensors(made)) and 4 * self._bytes(made) <= self._limit:
            with self._lock:
                self._entries[key] = made
                while sum(map(self._bytes, self._entries.values())) > self._limit:
                    self._entries.popitem(last=False)
        return made

    def _bytes(self, made: T) -> int:
        return sum(tensor.nbytes for tensor in self._tensors(made))
