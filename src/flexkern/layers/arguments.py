"""The arguments of ``torch.nn.ConvNd``, checked once, and errors that name the argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..engines import Padding
from ..functional import Grid

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class ConvArguments:
    """Checked arguments of a convolution; every per-axis value is a tuple.

    Attributes:
        padding: samples (before, after) per axis.
        padding_name: "same" or "valid" where padding was given by name, else "".
        causal: whether only the old side is padded.

    Example:
        >>> ConvArguments.parse(2, 3, 8, 5, padding="same").padding
        ((2, 2), (2, 2))
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    causal: bool
    padding_name: str

    @classmethod
    def parse(
        cls,
        dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        *,
        causal: bool = False,
    ) -> ConvArguments:
        """Check the arguments of an ``nn.ConvNd`` with ``dims`` axes.

        A causal layer pads by itself, on the old side only.

        Raises:
            ValueError: for an argument out of range; the message states its name, its value and what is allowed.
        """
        _check_channels(in_channels, out_channels, groups)
        _check_padding_mode(padding_mode, dims, causal=causal)
        kernel_lengths = per_axis("kernel_size", kernel_size, dims, least=1)
        strides = per_axis("stride", stride, dims, least=1)
        dilations = per_axis("dilation", dilation, dims, least=1)
        spans = tuple(d * (k - 1) for d, k in zip(dilations, kernel_lengths, strict=True))
        return cls(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_lengths,
            stride=strides,
            padding=_padding_per_side(padding, spans, strides, causal=causal),
            dilation=dilations,
            groups=groups,
            padding_mode=padding_mode,
            causal=causal,
            padding_name=padding if isinstance(padding, str) else "",
        )

    @property
    def dims(self) -> int:
        """Number of axes."""
        return len(self.kernel_size)

    @property
    def given_padding(self) -> str | tuple[int, ...]:
        """Padding as ``nn.ConvNd.padding`` has it: the name, or samples per axis (causal: on the old side)."""
        if self.padding_name:
            return self.padding_name
        return tuple(before for before, _ in self.padding)

    def describe(self) -> str:
        """Return the arguments as torch's layers print them: only those that differ from the default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        if max(self.stride) != 1:
            text += f", stride={self.stride}"
        if max(self.dilation) != 1:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.causal:
            text += ", causal=True"
        elif self.padding_name == "same":
            text += ", padding=same"
        elif any(before for before, _ in self.padding):
            text += f", padding={self.given_padding}"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def cropped_padding(self, bounds: Sequence[tuple[int, int]]) -> Padding:
        """Return the padding with which the kernel cropped to ``bounds`` gives the output of the whole kernel.

        Leaving out ``a`` taps in front moves the first tap by ``a * dilation`` samples. The shape of the output
        therefore never depends on the learned size. Values are negative where more is cropped than was padded.
        """
        sides = []
        axes = zip(self.padding, bounds, self.kernel_size, self.dilation, strict=True)
        for (before, after), (start, stop), length, dilation in axes:
            sides.append((before - start * dilation, after - (length - stop) * dilation))
        return tuple(sides)

    def at_grid(self, grid: Grid) -> ConvArguments:
        """Return the arguments for signals of the resolution of ``grid``; ``self`` are those of training.

        Kernel and padding cover the same extent as before; stride and dilation stay the same, in samples.
        """
        if grid.scale == (1.0,) * self.dims:
            return self
        spans = tuple(d * (k - 1) for d, k in zip(self.dilation, grid.lengths, strict=True))
        if self.causal or self.padding_name == "same":
            padding = _padding_per_side("same", spans, self.stride, causal=self.causal)
        else:
            padding = self._scaled_padding(spans, grid.scale)
        return replace(self, kernel_size=grid.lengths, padding=padding)

    def _scaled_padding(self, spans: Sequence[int], scales: Sequence[float]) -> Padding:
        """Scale the padding, and add what the resampled kernel is shorter than the scaled one."""
        sides = []
        axes = zip(self.padding, self.dilation, self.kernel_size, spans, scales, strict=True)
        for (before, after), dilation, length, span, scale in axes:
            surplus = span - scale * dilation * (length - 1)
            scaled_before = round(scale * before + surplus / 2)
            scaled_after = round(scale * after + surplus / 2)
            sides.append((max(scaled_before, 0), max(scaled_after, 0)))
        return tuple(sides)


def per_axis(name: str, value: int | Sequence[int], dims: int, *, least: int) -> tuple[int, ...]:
    """Return ``value`` for every axis.

    Raises:
        ValueError: if there are not ``dims`` integers, each at least ``least``.
    """
    values: tuple[int, ...] = ()
    if isinstance(value, int):
        values = (value,) * dims
    elif isinstance(value, Sequence):
        values = tuple(value)
    if len(values) != dims or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise ValueError(f"`{name}` must be an integer or {dims} of them, got {value!r}.")
    if min(values) < least:
        kind = "positive" if least == 1 else "not negative"
        raise ValueError(f"`{name}` must be {kind}, got {value!r}.")
    return values


def _check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    per_axis("in_channels", in_channels, 1, least=1)
    per_axis("out_channels", out_channels, 1, least=1)
    per_axis("groups", groups, 1, least=1)
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise ValueError(f"`{name}` must be divisible by `groups`, got {channels} and {groups}.")


def _check_padding_mode(padding_mode: str, dims: int, *, causal: bool) -> None:
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"`padding_mode` must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}.")
    if causal and dims != 1:
        raise ValueError(f"`causal` needs one dimension, got {dims}.")
    if causal and padding_mode in ("reflect", "circular"):
        raise ValueError(f"a causal layer cannot pad with later samples: `padding_mode` is {padding_mode!r}.")


def _padding_per_side(
    padding: str | int | Sequence[int], spans: tuple[int, ...], strides: tuple[int, ...], *, causal: bool
) -> Padding:
    if causal:
        if padding not in (0, "same", (0,), [0]):
            raise ValueError(f"a causal layer pads by itself: leave `padding` at 0 or 'same', got {padding!r}.")
        return tuple((span, 0) for span in spans)
    if padding == "valid":
        return ((0, 0),) * len(spans)
    if padding == "same":
        if max(strides) > 1:
            raise ValueError(f"`padding='same'` needs stride 1, got stride={strides}.")
        return tuple((span // 2, span - span // 2) for span in spans)  # torch's split: one more at the end
    if isinstance(padding, str):
        raise ValueError(f"`padding` must be integers, 'same' or 'valid', got {padding!r}.")
    return tuple((samples, samples) for samples in per_axis("padding", padding, len(spans), least=0))


def check_input(input: Tensor, arguments: ConvArguments, name: str) -> None:
    """Check that ``input`` is (batch, channels, *signal) or (channels, *signal), and that the kernel fits it.

    Raises:
        ValueError: for a wrong shape, number of channels or dtype, or a signal that is too short.
    """
    dims = arguments.dims
    if input.dim() not in (dims + 1, dims + 2):
        raise ValueError(
            f"{name} expects input of shape (batch, channels, {dims} axes) or (channels, {dims} axes), "
            f"got {tuple(input.shape)}."
        )
    channels = input.shape[-dims - 1]
    if channels != arguments.in_channels:
        raise ValueError(f"{name} expects {arguments.in_channels} input channels, got {channels}.")
    if not input.is_floating_point():
        raise ValueError(f"{name} expects floating-point input, got {input.dtype}; convert it with `.float()`.")
    # The whole kernel is checked, so that an input is accepted or refused whatever the learned size.
    signal = input.shape[-dims:]
    for length, (before, after), kernel, dilation in zip(
        signal, arguments.padding, arguments.kernel_size, arguments.dilation, strict=True
    ):
        if length + before + after < dilation * (kernel - 1) + 1:
            raise ValueError(
                f"`kernel_size` {arguments.kernel_size} (dilation {arguments.dilation}) does not fit a signal of "
                f"{tuple(signal)} samples with this padding; add `padding` or lower `kernel_size`."
            )
    if arguments.padding_mode != "zeros":
        check_extension(signal, arguments.padding, arguments.padding_mode)


def check_extension(signal: Sequence[int], padding: Sequence[tuple[int, int]], mode: str, reason: str = "") -> None:
    """Check that a signal is long enough to be mirrored or repeated by ``padding``.

    Raises:
        ValueError: for a signal that is too short; ``reason`` says what the padding is for.
    """
    if mode not in ("reflect", "circular"):
        return
    for length, sides in zip(signal, padding, strict=True):
        longest = length - 1 if mode == "reflect" else length
        if max(sides) > longest:
            raise ValueError(f"{mode} padding of {max(sides)}{reason} needs a longer signal than {length}.")
