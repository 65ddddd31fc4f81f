"""The description of an adaptive convolution: windows, channel groups, and how the generator's output becomes kernels.

Shapes name the attributes of :class:`AdaptiveSpec`: (generator_groups, outputs, kernels_per_output, taps, positions).
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._support.axes import last_axes, output_size
from .._support.nearest import did_you_mean

SHARINGS = ("pair", "shared", "full", "depthwise")
Squash = str | Callable[[Tensor], Tensor]


def gaussian(z: Tensor) -> Tensor:
    r"""Return :math:`e^{-z^2}`: 1 where the generator's output is 0, less the larger it is."""
    return z.square().neg().exp()


def softmax(z: Tensor) -> Tensor:  # (..., taps, positions)
    """Return positive weights that sum to 1 over the window."""
    return z.softmax(-2)


SQUASHES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "hardtanh": F.hardtanh,
    "gaussian": gaussian,
    "softmax": softmax,
}


def not_zero(norms: Tensor) -> Tensor:
    """Return the norms, raised to a tiny positive value so that they can be divided by."""
    return norms.clamp_min(torch.finfo(norms.dtype).tiny ** 0.5)


class Window(NamedTuple):
    """One axis of the common window of ``size`` taps, and the parts of it that kernel and generator cover.

    The generator's part is centred on the kernel's; where the difference is odd, it lies half a tap further left.
    """

    size: int
    kernel: slice
    generator: slice

    @classmethod
    def around(cls, kernel: int, generator: int) -> "Window":
        """Return the smallest window that contains a kernel and a generator of these sizes."""
        start = (kernel - generator) // 2  # of the generator, relative to the kernel
        first = min(0, start)
        last = max(kernel, start + generator)
        kernel_part = slice(-first, kernel - first)
        generator_part = slice(start - first, start + generator - first)
        return cls(last - first, kernel_part, generator_part)


@dataclass(frozen=True)
class AdaptiveSpec:
    """The integers and names that define an adaptive convolution.

    A generator group is the set of input channels that one generator reads: a single channel if ``sharing`` is "pair",
    else a group of the convolution. Its generator has ``outputs * kernels_per_output * taps`` output channels, in that
    order. ``windows`` has one :class:`Window` per axis.

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
        sizes = zip(self.kernel, self.generator, strict=True)
        windows = tuple(Window.around(kernel, generator) for kernel, generator in sizes)
        object.__setattr__(self, "windows", windows)  # stored, because every call reads them several times

    @property
    def window_size(self) -> tuple[int, ...]:
        """Taps of the common window per axis."""
        return tuple(window.size for window in self.windows)

    @property
    def kernel_slices(self) -> tuple[slice, ...]:
        """The part of the common window that the kernel covers, per axis."""
        return tuple(window.kernel for window in self.windows)

    @property
    def generator_slices(self) -> tuple[slice, ...]:
        """The part of the common window that the generator covers, per axis."""
        return tuple(window.generator for window in self.windows)

    @property
    def generator_groups(self) -> int:
        """Number of generators, each with its own input channels."""
        return self.in_channels if self.sharing == "pair" else self.groups

    @property
    def generator_in_channels(self) -> int:
        """Channels that one generator reads."""
        return self.in_channels // self.generator_groups

    @property
    def outputs(self) -> int:
        """Output channels to which one generator group contributes."""
        return self.out_channels // self.groups

    @property
    def kernels_per_output(self) -> int:
        """Kernels per output channel and generator group: one per channel read if ``sharing`` is "full", else one."""
        return self.generator_in_channels if self.sharing == "full" else 1

    @property
    def taps(self) -> int:
        """Samples of one kernel."""
        return math.prod(self.kernel)

    @property
    def generator_out_channels(self) -> int:
        """Values that one generator computes per position."""
        return self.outputs * self.kernels_per_output * self.taps

    @property
    def per_group(self) -> int:
        """Generator groups per group of the convolution; their contributions are summed."""
        return self.generator_groups // self.groups

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """Samples (before, after) per axis by which the generator's window exceeds the kernel's."""
        margins = []
        for window, dilation in zip(self.windows, self.dilation, strict=True):
            before = window.kernel.start * dilation
            after = (window.size - window.kernel.stop) * dilation
            margins.append((before, after))
        return tuple(margins)

    @property
    def extent(self) -> tuple[int, ...]:
        """Samples per axis that the dilated common window spans."""
        axes = zip(self.window_size, self.dilation, strict=True)
        return tuple(dilation * (size - 1) + 1 for size, dilation in axes)

    def output_size(self, padded: tuple[int, ...]) -> tuple[int, ...]:
        """Return the output samples per axis for a padded signal of shape (..., *axes)."""
        axes = len(self.kernel)
        no_padding = ((0, 0),) * axes
        return output_size(padded[-axes:], no_padding, self.extent, self.stride)

    def kernel_taps(self) -> Iterator[tuple[int, ...]]:
        """Iterate over the kernel's taps, as places in the common window."""
        axes = [range(part.start, part.stop) for part in self.kernel_slices]
        return itertools.product(*axes)

    def index_of(self, taps: tuple[int, ...], size: tuple[int, ...]) -> Any:
        """Return the index of the padded samples that one tap of the window reads at all output positions.

        Args:
            taps: the tap's place in the window, per axis.
            size: output samples per axis.
        """
        slices = []
        for tap, outputs, stride, dilation in zip(taps, size, self.stride, self.dilation, strict=True):
            first = tap * dilation
            last = first + (outputs - 1) * stride
            slices.append(slice(first, last + 1, stride))
        return last_axes(slices)

    def split_outputs(self, z: Tensor) -> Tensor:
        """View the generator's output channels as three axes.

        (generator_groups, generator_out_channels, positions) becomes
        (generator_groups, outputs, kernels_per_output, taps, positions).
        """
        groups = z.shape[0]
        return z.view(groups, self.outputs, self.kernels_per_output, self.taps, -1)

    def kernels(
        self,
        z: Tensor,
        gain: Tensor | None,
        scale: Tensor | None,
    ) -> Tensor:
        """Return the kernels for the generator's output ``z``.

        Args:
            z: (..., generator_groups, outputs, kernels_per_output, taps, positions), the shape of the result.
            gain: factors of the squashed values, (generator_groups, outputs, kernels_per_output, taps), or None.
            scale: factors of whole kernels, (generator_groups, outputs, kernels_per_output), or None.
        """
        kernels = self.apply_squash(z)
        if gain is not None:
            kernels = kernels * gain[..., None]
        if self.normalize:
            kernels = kernels / self.norm(kernels)
        if scale is not None:
            kernels = kernels * scale[..., None, None]
        return kernels

    def apply_squash(self, z: Tensor) -> Tensor:
        """Return the squash of the generator's output."""
        if isinstance(self.squash, str):
            return SQUASHES[self.squash](z)
        return self.squash(z)

    @staticmethod
    def norm(kernels: Tensor) -> Tensor:
        """Return the sum of absolute values over the window, never 0."""
        return not_zero(kernels.abs().sum(-2, keepdim=True))

    def as_weight(self, values: Tensor) -> Tensor:
        """Reorder values from the order of the generators' outputs into the weight of an ordinary convolution.

        Args:
            values: (generator_groups * generator_out_channels, ...).

        Returns:
            (out_channels, in_channels / groups or 1, *kernel, ...)
        """
        if self.sharing != "pair":
            return values.unflatten(0, (self.out_channels, self.kernels_per_output, *self.kernel))
        grouped = values.unflatten(0, (self.groups, self.per_group, self.outputs, *self.kernel))
        return grouped.transpose(1, 2).flatten(0, 1)


def check_sharing(sharing: str, in_channels: int, out_channels: int, groups: int) -> int:
    """Return the number of groups: ``groups``, or one per channel if ``sharing`` is "depthwise".

    Raises:
        ValueError: if ``sharing`` is unknown, or "depthwise" with channels or groups that do not fit it.
    """
    if sharing not in SHARINGS:
        known = ", ".join(SHARINGS)
        raise ValueError(f"unknown `sharing` {sharing!r}{did_you_mean(sharing, SHARINGS)} Known: {known}.")
    if sharing != "depthwise":
        return groups
    if out_channels != in_channels or groups not in (1, in_channels):
        raise ValueError(
            "`sharing='depthwise'` has one output per input channel: `out_channels` must equal `in_channels` and "
            f"`groups` must be left out, got {in_channels} -> {out_channels}, groups={groups}. "
            "Add a 1x1 convolution after it to mix channels."
        )
    return in_channels


def check_squash(squash: Squash) -> Squash:
    """Return the squash if it is a known name or a function without parameters.

    Raises:
        ValueError: if it is neither.
    """
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
