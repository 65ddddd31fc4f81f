"""The arguments of a convolution, parsed once: nn.ConvNd's meaning, and errors that name the argument."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..engines import Padding
from ..functional import Grid

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class ConvArguments:
    """Checked arguments; every per-axis value is a tuple. ``same`` tells that padding was given as 'same'."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    causal: bool
    same: bool

    @property
    def dims(self) -> int:
        """Number of axes."""
        return len(self.kernel_size)

    def describe(self) -> str:
        """The arguments as torch's layers print them: only what differs from the default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, default in (("stride", 1), ("dilation", 1)):
            if max(getattr(self, name)) != default:
                text += f", {name}={getattr(self, name)}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.causal or self.same:
            text += ", causal=True" if self.causal else ", padding=same"
        elif any(left for left, _ in self.padding):
            text += f", padding={tuple(left for left, _ in self.padding)}"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


def per_axis(name: str, value: int | Sequence[int], dims: int, *, least: int) -> tuple[int, ...]:
    """``value`` for every axis.

    Raises:
        ValueError: if there are not ``dims`` integers, each at least ``least``.
    """
    values = (value,) * dims if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(values) != dims or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise ValueError(f"`{name}` must be an integer or {dims} of them, got {value!r}.")
    if min(values) < least:
        kind = "positive" if least == 1 else "not negative"
        raise ValueError(f"`{name}` must be {kind}, got {value!r}.")
    return values


def parse_arguments(dims: int, *, causal: bool, **given: Any) -> ConvArguments:
    """Check the arguments of an ``nn.ConvNd`` (given by name) and bring them into one form.

    A causal layer pads by itself, on the old side only.

    Raises:
        ValueError: naming the argument, its value and what would be right.
    """
    in_channels, out_channels, groups = given["in_channels"], given["out_channels"], given["groups"]
    for name in ("in_channels", "out_channels", "groups"):
        per_axis(name, given[name], 1, least=1)
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
        if value % groups:
            raise ValueError(f"`{name}` must be divisible by `groups`, got {value} and {groups}.")
    if given["padding_mode"] not in PADDING_MODES:
        raise ValueError(f"`padding_mode` must be one of {', '.join(PADDING_MODES)}, got {given['padding_mode']!r}.")
    if causal and dims != 1:
        raise ValueError(f"`causal` needs one dimension, got {dims}.")
    if causal and given["padding_mode"] in ("reflect", "circular"):
        raise ValueError(f"a causal layer cannot pad with later samples: `padding_mode` is {given['padding_mode']!r}.")
    kernel_size = per_axis("kernel_size", given["kernel_size"], dims, least=1)
    stride = per_axis("stride", given["stride"], dims, least=1)
    dilation = per_axis("dilation", given["dilation"], dims, least=1)
    spans = tuple(d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True))
    padding = _parse_padding(given["padding"], spans, stride, causal=causal)
    return ConvArguments(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        given["padding_mode"],
        causal,
        same=given["padding"] == "same",
    )


def _parse_padding(
    padding: str | int | Sequence[int], spans: tuple[int, ...], stride: tuple[int, ...], *, causal: bool
) -> Padding:
    if causal:
        if padding not in (0, "same", (0,), [0]):
            raise ValueError(f"a causal layer pads by itself: leave `padding` at 0 or 'same', got {padding!r}.")
        return tuple((span, 0) for span in spans)
    if padding == "valid":
        return tuple((0, 0) for _ in spans)
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"`padding='same'` needs stride 1, got stride={stride}.")
        return tuple((span // 2, span - span // 2) for span in spans)  # torch's split: one more at the end
    if isinstance(padding, str):
        raise ValueError(f"`padding` must be integers, 'same' or 'valid', got {padding!r}.")
    return tuple((p, p) for p in per_axis("padding", padding, len(spans), least=0))


def resample_arguments(trained: ConvArguments, grid: Grid) -> ConvArguments:
    """The arguments for signals of the resolution of ``grid``, given those at the resolution of training.

    Kernel and padding cover the same extent as before; stride and dilation stay, in samples.
    """
    if grid.scale == (1.0,) * trained.dims:
        return trained
    spans = tuple(d * (k - 1) for d, k in zip(trained.dilation, grid.lengths, strict=True))
    if trained.same or trained.causal:
        padding = _parse_padding("same", spans, trained.stride, causal=trained.causal)
    else:
        axes = zip(trained.padding, trained.dilation, trained.kernel_size, spans, grid.scale, strict=True)
        grown = ((sides, s, span - s * d * (k - 1)) for sides, d, k, span, s in axes)
        # Where no whole kernel fits into the horizon, padding makes up for what it is short of.
        padding = tuple(
            (max(round(s * left + more / 2), 0), max(round(s * right + more / 2), 0))
            for (left, right), s, more in grown
        )
    return replace(trained, kernel_size=grid.lengths, padding=padding)


def crop_padding(arguments: ConvArguments, bounds: Sequence[tuple[int, int]]) -> Padding:
    """Padding that a cropped kernel needs to give what the whole kernel would with zeros around the crop.

    Leaving out ``a`` taps in front moves the first tap by ``a * dilation`` samples; so the shape of the output
    never depends on the learned size. Values become negative where the crop takes away more than was padded.
    """
    axes = zip(arguments.padding, bounds, arguments.kernel_size, arguments.dilation, strict=True)
    return tuple((left - a * d, right - (k - b) * d) for (left, right), (a, b), k, d in axes)


def _check_fit(signal: Sequence[int], arguments: ConvArguments) -> None:
    axes = zip(signal, arguments.padding, arguments.kernel_size, arguments.dilation, strict=True)
    if any(n + left + right < d * (k - 1) + 1 for n, (left, right), k, d in axes):
        raise ValueError(
            f"`kernel_size` {arguments.kernel_size} (dilation {arguments.dilation}) does not fit a signal of "
            f"{tuple(signal)} samples with this padding; add `padding` or lower `kernel_size`."
        )


def check_input(input: Tensor, arguments: ConvArguments, name: str) -> None:
    """Raise a ValueError if ``input`` is not (batch, channels, *signal) or unbatched (channels, *signal)."""
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
    _check_fit(input.shape[-dims:], arguments)
    # Checked for the whole kernel, so that success does not depend on the learned size.
    check_extension(input.shape[-dims:], arguments.padding, arguments.padding_mode)


def check_extension(signal: Sequence[int], padding: Sequence[tuple[int, int]], mode: str, reason: str = "") -> None:
    """Raise a ValueError if the signal is too short to be mirrored or repeated that far, ``reason`` saying for what."""
    if mode not in ("reflect", "circular"):
        return
    for n, sides in zip(signal, padding, strict=True):
        if max(sides) > (n - 1 if mode == "reflect" else n):
            raise ValueError(f"{mode} padding of {max(sides)}{reason} needs a longer signal than {n}.")
