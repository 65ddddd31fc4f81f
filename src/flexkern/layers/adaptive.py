"""Convolutions whose kernel is computed from the input at every position."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .._support.axes import append_axes
from .._support.precision import agreed_dtype, at_least_float32, autocast_off
from ..adaptive import (
    AdaptiveSpec,
    Squash,
    adaptive_conv,
    adaptive_kernels,
    adaptive_only_std,
    adaptive_std,
    check_sharing,
    check_squash,
    gain_std,
    kernel_std,
    linear_bound,
    similarity,
)
from ..engines import pad
from .arguments import ConvArguments, check_extension, check_input, per_axis
from .conv_nd import ConvNd
from .saturation import warn_if_saturated


class AdaptiveConv(ConvNd):
    r"""Convolution whose kernel is computed from the input around each position.

    .. math:: z_{ocu}(p) = \beta_{ocu} + \sum_a Q_{ocu}(a) X_c(p + a), \quad K_{ocu}(p) = \mathrm{squash}(z_{ocu}(p)),
        \quad Y_o(p) = b_o + \sum_c \sum_u K_{ocu}(p) X_c(p + u)

    With ``squash="tanh"`` these are the Adaptive Convolutional Kernels of Zamora Esquivel et al. (ICCVW 2019), one
    kernel per position. The generator's weights Q are constant, so that the layer exports as convolutions and products.
    With an odd squash and without the generator's bias the layer is an even function of its input, except for ``bias``.
    With Q = 0 it is a convolution of weight squash(beta).

    The paper leaves open what the generator sees. With ``k`` and ``q`` the samples of kernel and generator, ``I =
    in_channels / groups`` and ``O = out_channels``:

    =============  ===================================================================  ==========================
    sharing        reading                                                              parameters of Q and beta
    =============  ===================================================================  ==========================
    ``pair``       a generator per output and input channel, which sees that channel    ``O I k q + O I k``
    ``shared``     sees all channels of the group; one kernel for all of them           ``O k I q + O k``
    ``full``       sees all channels of the group; a kernel per channel                 ``O I k I q + O I k``
    ``depthwise``  one kernel per channel, applied to that channel; no mixing           ``O k q + O k``
    =============  ===================================================================  ==========================

    In addition, ``squash="gaussian"`` has one gain per kernel value, as many as beta. "softmax" and ``normalize`` have
    one scale per kernel, ``O I`` (``shared``, ``depthwise``: ``O``). ``bias`` adds ``O``.

    ``pair`` is what the authors' public scripts compute. Deviations from them: parameters are registered and trained,
    and an output bias is added unless ``bias=False``. The initial values keep the variance: a tenth of the kernels'
    energy varies with the input, and the rest is an ordinary convolution.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see ``torch.nn.Conv2d``; the initial bias is 0.
        generator_size: samples per axis that the generator sees, centred on the kernel; ``kernel_size`` by default.
            Where it sees more than the kernel, the input is extended further according to ``padding_mode``.
        bias_generator: whether the generator has a learned bias, beta.
        sharing: "pair", "shared", "full" or "depthwise", see the table.
        squash: a name, or a function of z (..., window, positions) without parameters and state of its own.
            "tanh". "hardtanh": z clipped to [-1, 1] (exact in integers). "gaussian": exp(-z^2) times a learned gain per
            kernel value, which initially weights samples by their similarity to the middle one (with ``normalize`` a
            bilateral filter). "softmax": softmax over the window, times a learned scale per kernel. A function must
            return the same for the same z, because the backward pass calls it again (no dropout). Tensors in its
            closure get no gradient.
        normalize: divide every kernel by the sum of its absolute values and multiply it by a learned scale. The initial
            values then keep the variance of inputs that are constant over a window, not that of white noise.
        remat: recompute the kernels in the backward pass instead of storing them; needs ``O`` times less memory.

    Shape: (batch, in_channels, *signal) or (in_channels, *signal), as ``torch.nn.ConvNd``.

    Raises:
        ValueError: if an argument is out of range, or the input has a wrong shape, number of channels or dtype.

    Example:
        >>> layer = AdaptiveConv2d(3, 16, kernel_size=3, padding="same")
        >>> layer(torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 16, 32, 32])
    """

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
        groups = check_sharing(sharing, in_channels, out_channels, groups)
        arguments = ConvArguments.parse(
            self.dims,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
        )
        super().__init__(arguments)
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
        self.sharing = sharing
        self.remat = remat
        self._create_parameters(bias=bias, bias_generator=bias_generator, device=device, dtype=dtype)
        self.reset_parameters()

    def _create_parameters(
        self,
        *,
        bias: bool,
        bias_generator: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        spec = self.spec
        generator_outputs = spec.generator_groups * spec.generator_out_channels
        kernels = (spec.generator_groups, spec.outputs, spec.kernels_per_output)
        has_gain = spec.squash == "gaussian"
        has_scale = spec.squash == "softmax" or spec.normalize
        shapes: dict[str, tuple[int, ...] | None] = {
            "generator_weight": (generator_outputs, spec.generator_in_channels, *spec.generator),
            "generator_bias": (generator_outputs,) if bias_generator else None,
            "gain": (*kernels, spec.taps) if has_gain else None,
            "scale": kernels if has_scale else None,
            "bias": (spec.out_channels,) if bias else None,
        }
        for name, shape in shapes.items():
            parameter = None
            if shape is not None:
                parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            self.register_parameter(name, parameter)

    @property
    def generator_size(self) -> tuple[int, ...]:
        """Samples per axis that the generator sees."""
        return self.spec.generator

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters again and set the bias to 0."""
        spec = self.spec
        channels = self.in_channels // spec.groups
        fan_in = spec.taps * channels
        self._reset_generator(fan_in)
        if self.gain is not None:
            if spec.normalize:
                self.gain.fill_(1)
            else:
                self.gain.normal_(std=gain_std(spec, fan_in))
        if self.scale is not None:
            if channels == 1:
                self.scale.fill_(1)
            else:
                self.scale.normal_(std=kernel_std(channels))
        if self.bias is not None:
            self.bias.zero_()

    def _reset_generator(self, fan_in: int) -> None:
        spec = self.spec
        positive = spec.squash in ("gaussian", "softmax")
        if positive or self.generator_bias is not None:
            std = adaptive_std(fan_in, spec.generator_in_channels * math.prod(spec.generator))
        else:
            std = adaptive_only_std(spec, fan_in)
        self.generator_weight.normal_(std=std)
        if spec.squash == "gaussian":
            self._own_channel().add_(similarity(spec).to(self.generator_weight))
        if self.generator_bias is not None:
            bound = 0.0 if positive else linear_bound(fan_in)
            self.generator_bias.uniform_(-bound, bound)
            if spec.squash == "tanh":
                self.generator_bias.atanh_()

    def _own_channel(self) -> Tensor:  # (..., taps, *generator)
        """View the part of Q through which kernels see the channel they are applied to; all of Q if they are shared."""
        spec = self.spec
        kernels = (spec.generator_groups, spec.outputs, spec.kernels_per_output, spec.taps)
        weight = self.generator_weight.view(*kernels, spec.generator_in_channels, -1)
        own = weight.transpose(3, 4)
        if spec.kernels_per_output > 1:  # one kernel per channel seen: take the pairs of the same channel
            own = weight.diagonal(dim1=2, dim2=4).movedim(-1, 2)
        return own.unflatten(-1, spec.generator)

    def forward(self, input: Tensor) -> Tensor:
        check_input(input, self.arguments, type(self).__name__)
        batched = input.dim() == self.dims + 2
        dtype = agreed_dtype(input, self.generator_weight.dtype, type(self).__name__)
        with autocast_off(input):
            padded = self.padded(input if batched else input.unsqueeze(0))
            weight, beta, gain, scale = self._cast_parameters(padded.dtype)
            warn_if_saturated(self, padded, weight, beta, self.spec)
            output = adaptive_conv(padded, weight, beta, self.spec, gain=gain, scale=scale, remat=self.remat)
            if self.bias is not None:
                bias = self.bias.to(padded.dtype)
                output = output + append_axes(bias, self.dims)
        if not batched:
            output = output.squeeze(0)
        return output.to(dtype)

    def kernels(self, input: Tensor) -> Tensor:  # (B, in, *S) -> (B, out, in / groups or 1, *kernel, *S')
        """Return the kernel of every position, for inspection: the result is large.

        It has no batch axis if the input has none.
        """
        check_input(input, self.arguments, type(self).__name__)
        batched = input.dim() == self.dims + 2
        with autocast_off(input):
            padded = self.padded(input if batched else input.unsqueeze(0))
            weight, beta, gain, scale = self._cast_parameters(padded.dtype)
            kernels = adaptive_kernels(padded, weight, beta, self.spec, gain=gain, scale=scale)
        if not batched:
            kernels = kernels.squeeze(0)
        return kernels.to(input.dtype)

    def _cast_parameters(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Return weight and bias of the generator, gain and scale in the dtype of the computation."""
        weight = self.generator_weight.to(dtype)
        beta = None if self.generator_bias is None else self.generator_bias.to(dtype)
        gain = None if self.gain is None else self.gain.to(dtype)
        scale = None if self.scale is None else self.scale.to(dtype)
        return weight, beta, gain, scale

    def padded(self, input: Tensor) -> Tensor:
        """Return the input, padded for kernel and generator, in float32 or wider.

        In narrower dtypes the rounding errors of kernels would add up.
        """
        sides = []
        for (left, right), (before, after) in zip(self.arguments.padding, self.spec.margins, strict=True):
            sides.append((left + before, right + after))
        signal = at_least_float32(input)
        check_extension(signal.shape[2:], sides, self.arguments.padding_mode)
        return pad(signal, tuple(sides), self.arguments.padding_mode)

    def extra_repr(self) -> str:
        spec = self.spec
        squash = spec.squash
        if not isinstance(squash, str):
            squash = getattr(squash, "__name__", "custom")
        text = f"{self.arguments.describe()}, bias={self.bias is not None}, sharing={self.sharing}, squash={squash}"
        if spec.generator != spec.kernel:
            text += f", generator_size={spec.generator}"
        if self.generator_bias is None:
            text += ", bias_generator=False"
        if spec.normalize:
            text += ", normalize=True"
        return text


class AdaptiveConv1d(AdaptiveConv):
    __doc__ = AdaptiveConv.__doc__
    dims = 1


class AdaptiveConv2d(AdaptiveConv):
    __doc__ = AdaptiveConv.__doc__
    dims = 2


class AdaptiveConv3d(AdaptiveConv):
    __doc__ = AdaptiveConv.__doc__
    dims = 3
