"""What an adaptive convolution is: its windows, who sees what, and how the generator's output becomes kernels."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._support.axes import last_axes
from .._support.nearest import did_you_mean

SHARINGS = ("pair", "shared", "full", "depthwise")
Squash = str | Callable[[Tensor], Tensor]


def gaussian(z: Tensor) -> Tensor:
    r""":math:`e^{-z^2}`: 1 where the generator says nothing, less wherever its output is large."""
    return z.square().neg().exp()


def softmax(z: Tensor) -> Tensor:  # (..., taps, positions)
    """Positive weights whose sum over the window is 1."""
    return z.softmax(-2)


SQUASHES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "hardtanh": F.hardtanh,
    "gaussian": gaussian,
    "softmax": softmax,
}


def not_zero(norms: Tensor) -> Tensor:
    """Norms that may be divided by."""
    return norms.clamp_min(torch.finfo(norms.dtype).tiny ** 0.5)


class Window(NamedTuple):
    """One axis: kernel and generator see parts of a common window of ``size`` taps, from ``kernel`` and ``generator``.

    The generator's window lies in the middle of the kernel's; where the difference is odd, half a tap further left.
    """

    size: int
    kernel: slice
    generator: slice

    @classmethod
    def around(cls, kernel: int, generator: int) -> "Window":
        """The least window that holds both."""
        start = (kernel - generator) // 2
        first, last = min(0, start), max(kernel, start + generator)
        return cls(last - first, slice(-first, kernel - first), slice(start - first, start + generator - first))


@dataclass(frozen=True)
class AdaptiveSpec:
    """The integers and names of an adaptive convolution.

    Banks are the groups of channels that a generator sees: single channels if ``sharing`` is "pair", else the groups.
    ``windows`` is one per axis. A bank's generator has ``rows = outputs * applied * taps`` outputs, in that order.

    Example:
        >>> AdaptiveSpec(3, 16, (3, 3), (3, 3), (1, 1), (1, 1), 1, "pair", "tanh").generator_out_channels
        144
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, ...]
    generator: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    sharing: str
    squash: Squash = field(hash=False)  # a function need not be hashable
    normalize: bool = False
    windows: tuple[Window, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        windows = tuple(Window.around(k, q) for k, q in zip(self.kernel, self.generator, strict=True))
        object.__setattr__(self, "windows", windows)  # asked for in every call, some times

    @property
    def generator_groups(self) -> int:
        """Number of generators, each with its own view of the input."""
        return self.in_channels if self.sharing == "pair" else self.groups

    @property
    def generator_in_channels(self) -> int:
        """Channels that a generator sees."""
        return self.in_channels // self.generator_groups

    @property
    def outputs(self) -> int:
        """Outputs to which a bank contributes."""
        return self.out_channels // self.groups

    @property
    def kernels_per_output(self) -> int:
        """Kernels per output and bank: one per channel if ``sharing`` is "full"."""
        return self.generator_in_channels if self.sharing == "full" else 1

    @property
    def taps(self) -> int:
        """Samples of a kernel."""
        return math.prod(self.kernel)

    @property
    def generator_out_channels(self) -> int:
        """Values that a bank's generator gives per position."""
        return self.outputs * self.kernels_per_output * self.taps

    @property
    def per_group(self) -> int:
        """Banks whose contributions are added up."""
        return self.generator_groups // self.groups

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """Samples (before, after) by which the generator's window exceeds the kernel's, per axis."""
        axes = zip(self.windows, self.dilation, strict=True)
        return tuple((w.kernel.start * d, (w.size - w.kernel.stop) * d) for w, d in axes)

    def output_size(self, padded: tuple[int, ...]) -> tuple[int, ...]:
        """Output samples per axis of a padded signal (..., *axes)."""
        axes = zip(padded[-len(self.kernel) :], self.windows, self.stride, self.dilation, strict=True)
        return tuple((n - d * (w.size - 1) - 1) // s + 1 for n, w, s, d in axes)

    def index_of(self, taps: tuple[int, ...], size: tuple[int, ...]) -> Any:
        """Where all positions meet one tap of the window, as an index of the padded signal's last axes."""
        axes = zip(taps, size, self.stride, self.dilation, strict=True)
        return last_axes(slice(t * d, t * d + (n - 1) * s + 1, s) for t, n, s, d in axes)

    def shaped(self, z: Tensor) -> Tensor:
        """(banks, rows, positions) as (banks, outputs, applied, taps, positions)."""
        return z.view(z.shape[0], self.outputs, self.kernels_per_output, self.taps, -1)

    def kernels(self, z: Tensor, gain: Tensor | None, scale: Tensor | None) -> Tensor:
        """From the generator's output to kernels, both (..., banks, outputs, applied, taps, positions).

        ``gain`` (banks, outputs, applied, taps) and ``scale`` (banks, outputs, applied) may be absent.
        """
        found = self.squashed(z)
        if gain is not None:
            found = found * gain[..., None]
        if self.normalize:
            found = found / self.norm(found)
        return found if scale is None else found * scale[..., None, None]

    def squashed(self, z: Tensor) -> Tensor:
        """What the squash makes of the generator's output."""
        return SQUASHES[self.squash](z) if isinstance(self.squash, str) else self.squash(z)

    @staticmethod
    def norm(kernels: Tensor) -> Tensor:
        """Sum of absolute values over the window, never 0."""
        return not_zero(kernels.abs().sum(-2, keepdim=True))

    def as_weight(self, values: Tensor) -> Tensor:  # (banks * rows, ...) -> (out, in / groups or 1, *kernel, ...)
        """Values in the order of the generator's outputs as an ordinary weight of a convolution."""
        if self.sharing != "pair":
            return values.unflatten(0, (self.out_channels, self.kernels_per_output, *self.kernel))
        ordered = values.unflatten(0, (self.groups, self.per_group, self.outputs, *self.kernel)).transpose(1, 2)
        return ordered.flatten(0, 1)


def check_sharing(sharing: str, in_channels: int, out_channels: int, groups: int) -> int:
    """The number of groups: as given, or one per channel."""
    if sharing not in SHARINGS:
        known = ", ".join(SHARINGS)
        raise ValueError(f"unknown `sharing` {sharing!r}{did_you_mean(sharing, SHARINGS)} Known: {known}.")
    if sharing != "depthwise":
        return groups
    if out_channels != in_channels or groups not in (1, in_channels):
        raise ValueError(
            "`sharing='depthwise'` gives one output per input channel: `out_channels` must equal `in_channels` and "
            f"`groups` be left out, got {in_channels} -> {out_channels}, groups={groups}. "
            "Let a 1x1 convolution follow to mix channels."
        )
    return in_channels


def check_squash(squash: Squash) -> Squash:
    """The squash, if it is a known name or a function without state."""
    if isinstance(squash, str):
        if squash not in SQUASHES:
            known = ", ".join(SQUASHES)
            raise ValueError(f"unknown `squash` {squash!r}{did_you_mean(squash, SQUASHES)} Known: {known}.")
        return squash
    if not callable(squash):
        raise ValueError(f"`squash` must be a name or a function of one tensor, got {squash!r}.")
    if isinstance(squash, nn.Module) and squash.state_dict():
        raise ValueError("`squash` must be a function without parameters: they would not be trained.")
    return squash
