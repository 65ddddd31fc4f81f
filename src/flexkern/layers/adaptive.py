"""Convolutions whose kernel is computed from the input, anew at every position."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.precision import agreed_dtype, autocast_off
from ..adaptive import (
    AdaptiveSpec,
    Squash,
    adaptive_conv,
    adaptive_kernels,
    adaptive_std,
    check_sharing,
    check_squash,
    gain_std,
    kernel_std,
    linear_bound,
    lone_std,
    similarity,
)
from ..engines import pad
from .arguments import check_extension, check_input, parse_arguments, per_axis
from .saturation import warn_if_saturated


class AdaptiveConv(nn.Module):
    r"""Convolution whose kernel is computed from the input around each position.

    .. math:: z_{ocu}(p) = \beta_{ocu} + \sum_a Q_{ocu}(a) X_c(p + a), \quad K_{ocu}(p) = \mathrm{squash}(z_{ocu}(p)),
        \quad Y_o(p) = b_o + \sum_c \sum_u K_{ocu}(p) X_c(p + u)

    Adaptive Convolutional Kernels (Zamora Esquivel et al., ICCVW 2019), per position, with ``squash="tanh"``. The
    weights Q are constant, so that it exports as convolutions and products. With an odd squash and without the bias of
    the generator the layer is an even function of its input (but for ``bias``); with Q = 0 it is a convolution of
    weight squash(beta).
    The text leaves open what the generator sees; ``k`` and ``q`` being the samples of kernel and generator, ``I =
    in_channels / groups`` and ``O = out_channels``:

    =============  ===================================================================  ==========================
    sharing        reading                                                              parameters of Q and beta
    =============  ===================================================================  ==========================
    ``pair``       a generator per output and input channel, which sees that channel    ``O I k q + O I k``
    ``shared``     sees all channels of the group; one kernel for all of them           ``O k I q + O k``
    ``full``       sees all channels of the group; a kernel per channel                 ``O I k I q + O I k``
    ``depthwise``  one kernel per channel, applied to that channel; no mixing           ``O k q + O k``
    =============  ===================================================================  ==========================

    Beside these: ``squash="gaussian"`` has a gain per kernel value, as many as beta; "softmax" and ``normalize`` a
    scale per kernel, ``O I`` (``shared``, ``depthwise``: ``O``); ``bias`` adds ``O``.

    ``pair`` is what the public scripts compute. Deviations from them: parameters are registered and trained, an
    output bias is added unless ``bias=False``, and the start keeps the variance (a tenth of the kernels' energy
    varies with the input, the rest is an ordinary convolution).

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see ``torch.nn.Conv2d``; the bias starts at 0.
        generator_size: samples per axis that the generator sees, in the middle of the kernel's; ``kernel_size`` by
            default. Where it sees more than the kernel, the input is extended further, as ``padding_mode`` says.
        bias_generator: whether beta is learned.
        sharing: see above.
        squash: "tanh"; "hardtanh", z cut off at -1 and 1 (exact in integers); "gaussian", exp(-z^2) times a learned
            gain per kernel value, which starts as weight by similarity to the middle (with ``normalize`` a bilateral
            filter); "softmax" over the window, times a learned scale per kernel; or a function of z (..., window,
            positions) without parameters and state of its own. A function must give the same for the same z, as it is
            called again in backward (no dropout), and tensors that it holds get no gradient.
        normalize: divide every kernel by the sum of its absolute values and multiply it with a learned scale. The
            start then keeps the variance of inputs that are constant over a window, not of white noise.
        remat: compute kernels again in backward instead of storing them, which takes ``O`` times less memory.

    Shape: (batch, in_channels, *signal) or (in_channels, *signal), as ``torch.nn.ConvNd``.

    Raises:
        ValueError: for arguments out of range and inputs of the wrong shape, number of channels or dtype.

    Example:
        >>> layer = AdaptiveConv2d(3, 16, kernel_size=3, padding="same")
        >>> layer(torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 16, 32, 32])
    """

    dims: ClassVar[int]
    generator_weight: nn.Parameter
    generator_bias: nn.Parameter | None
    gain: nn.Parameter | None
    scale: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        generator_size: int | Sequence[int] | None = None,
        bias_generator: bool = True,
        sharing: str = "pair",
        squash: Squash = "tanh",
        normalize: bool = False,
        remat: bool = True,
    ) -> None:
        super().__init__()
        groups = check_sharing(sharing, in_channels, out_channels, groups)
        self.arguments = parse_arguments(
            self.dims,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            padding_mode=padding_mode,
            causal=False,
        )
        size = self.arguments.kernel_size if generator_size is None else generator_size
        self.spec = AdaptiveSpec(
            in_channels,
            out_channels,
            self.arguments.kernel_size,
            per_axis("generator_size", size, self.dims, least=1),
            self.arguments.stride,
            self.arguments.dilation,
            groups,
            "pair" if sharing == "depthwise" else sharing,
            check_squash(squash),
            normalize,
        )
        self.sharing, self.remat = sharing, remat
        self._make_parameters(bias=bias, bias_generator=bias_generator, device=device, dtype=dtype)
        self.reset_parameters()

    def _make_parameters(
        self, *, bias: bool, bias_generator: bool, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        spec = self.spec
        kernels = (spec.generator_groups, spec.outputs, spec.kernels_per_output)
        shapes: dict[str, tuple[int, ...] | None] = {
            "generator_weight": (
                spec.generator_groups * spec.generator_out_channels,
                spec.generator_in_channels,
                *spec.generator,
            ),
            "generator_bias": (spec.generator_groups * spec.generator_out_channels,) if bias_generator else None,
            "gain": (*kernels, spec.taps) if spec.squash == "gaussian" else None,
            "scale": kernels if spec.squash == "softmax" or spec.normalize else None,
            "bias": (spec.out_channels,) if bias else None,
        }
        for name, shape in shapes.items():
            made = None if shape is None else nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            self.register_parameter(name, made)

    @property
    def in_channels(self) -> int:
        return self.arguments.in_channels

    @property
    def out_channels(self) -> int:
        return self.arguments.out_channels

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return self.arguments.kernel_size

    @property
    def generator_size(self) -> tuple[int, ...]:
        """Samples per axis that the generator sees."""
        return self.spec.generator

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw everything anew; biases to zero."""
        spec, channels = self.spec, self.in_channels // self.spec.groups
        fan_in, positive = spec.taps * channels, spec.squash in ("gaussian", "softmax")
        beside = adaptive_std(fan_in, spec.generator_in_channels * math.prod(spec.generator))
        self.generator_weight.normal_(
            std=beside if positive or self.generator_bias is not None else lone_std(spec, fan_in)
        )
        if spec.squash == "gaussian":
            self._own_channel().add_(similarity(spec).to(self.generator_weight))
        if self.generator_bias is not None:
            bound = 0.0 if positive else linear_bound(fan_in)
            self.generator_bias.uniform_(-bound, bound)
            if spec.squash == "tanh":
                self.generator_bias.atanh_()
        if self.gain is not None:
            self.gain.fill_(1) if spec.normalize else self.gain.normal_(std=gain_std(spec, fan_in))
        if self.scale is not None:
            self.scale.fill_(1) if channels == 1 else self.scale.normal_(std=kernel_std(channels))
        if self.bias is not None:
            self.bias.zero_()

    def _own_channel(self) -> Tensor:  # (..., taps, *generator)
        """The part of Q with which kernels see the channel that they are applied to, or all if they are shared."""
        spec = self.spec
        whole = self.generator_weight.view(
            spec.generator_groups, spec.outputs, spec.kernels_per_output, spec.taps, spec.generator_in_channels, -1
        )
        several = spec.kernels_per_output > 1  # then kernel and channel seen must be the same
        own = whole.diagonal(dim1=2, dim2=4).movedim(-1, 2) if several else whole.transpose(3, 4)
        return own.unflatten(-1, spec.generator)

    def forward(self, input: Tensor) -> Tensor:
        check_input(input, self.arguments, type(self).__name__)
        batched = input.dim() == self.dims + 2
        dtype = agreed_dtype(input, self.generator_weight.dtype, type(self).__name__)
        with autocast_off(input):
            padded = self.padded(input if batched else input.unsqueeze(0))
            weight, beta, gain, scale, bias = self._held(padded.dtype)
            warn_if_saturated(self, padded, weight, beta, self.spec)
            output = adaptive_conv(padded, weight, beta, self.spec, gain=gain, scale=scale, remat=self.remat)
            if bias is not None:
                output = output + bias.view(-1, *(1,) * self.dims)
        return (output if batched else output.squeeze(0)).to(dtype)

    def kernels(self, input: Tensor) -> Tensor:  # (B, in, *S) -> (B, out, in / groups or 1, *kernel, *S')
        """The kernel of every position, without batch axis if the input has none; large, meant for looking at."""
        check_input(input, self.arguments, type(self).__name__)
        batched = input.dim() == self.dims + 2
        with autocast_off(input):
            padded = self.padded(input if batched else input.unsqueeze(0))
            weight, beta, gain, scale, _ = self._held(padded.dtype)
            found = adaptive_kernels(padded, weight, beta, self.spec, gain=gain, scale=scale)
        return (found if batched else found.squeeze(0)).to(input.dtype)

    def _held(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """All parameters in the dtype that is computed in."""
        beta, gain, scale, bias = (
            None if one is None else one.to(dtype) for one in (self.generator_bias, self.gain, self.scale, self.bias)
        )
        return self.generator_weight.to(dtype), beta, gain, scale, bias

    def padded(self, input: Tensor) -> Tensor:
        """The input as far as any window reaches, in float32 at least: products of rounded kernels would drift."""
        sides = [
            (left + before, right + after)
            for (left, right), (before, after) in zip(self.arguments.padding, self.spec.margins, strict=True)
        ]
        signal = input.to(torch.promote_types(input.dtype, torch.float32))
        check_extension(signal.shape[2:], sides, self.arguments.padding_mode)
        return pad(signal, tuple(sides), self.arguments.padding_mode)

    def extra_repr(self) -> str:
        spec = self.spec
        squash = spec.squash if isinstance(spec.squash, str) else getattr(spec.squash, "__name__", "custom")
        text = f"{self.arguments.describe()}, bias={self.bias is not None}, sharing={self.sharing}, squash={squash}"
        if spec.generator != spec.kernel:
            text += f", generator_size={spec.generator}"
        if self.generator_bias is None:
            text += ", bias_generator=False"
        return text + (", normalize=True" if spec.normalize else "")


class AdaptiveConv1d(AdaptiveConv):
    __doc__ = AdaptiveConv.__doc__
    dims = 1


class AdaptiveConv2d(AdaptiveConv):
    __doc__ = AdaptiveConv.__doc__
    dims = 2


class AdaptiveConv3d(AdaptiveConv):
    __doc__ = AdaptiveConv.__doc__
    dims = 3
