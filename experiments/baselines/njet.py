"""N-Jet: kernels that are sums of Gaussian derivatives, of one learned scale per layer."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from flexkern._support.axes import last_axes
from flexkern._support.precision import agreed_dtype, autocast_off
from flexkern._support.tracing import exporting
from flexkern.engines import Padding, convolve, pad
from flexkern.functional import readout_std
from flexkern.layers import ConvArguments, check_extension, check_input

NARROWEST = 0.42
"""Sigma, in samples, at which a Gaussian is one sample wide at half its height."""
ROUNDING = 1e-6
"""Relative error allowed for: exp(log(sigma)) may differ from sigma by rounding."""


def hermite_gaussians(u: Tensor, order: int) -> Tensor:  # (*P) -> (order + 1, *P)
    r"""Return derivatives :math:`d^n / du^n \exp(-u^2 / 2) = (-1)^n He_n(u) \exp(-u^2 / 2)` up to ``order``.

    .. math:: He_{n+1}(u) = u He_n(u) - n He_{n-1}(u)

    Example:
        >>> hermite_gaussians(torch.zeros(5), order=2).shape
        torch.Size([3, 5])
    """
    polynomials = [torch.ones_like(u), -u]  # (-1)^n He_n
    for n in range(1, order):
        lower = n * polynomials[n - 1]
        polynomials.append(-u * polynomials[n] - lower)
    gaussian = torch.exp(-0.5 * u.square())
    return torch.stack(polynomials[: order + 1]) * gaussian


def gaussian_jet(sigma: Tensor, order: int, half: int) -> Tensor:  # () -> (order + 1, 2 * half + 1)
    r"""Return derivatives of a Gaussian up to ``order`` at the samples ``-half .. half``, each times :math:`\sigma^n`.

    .. math:: \sigma^n \frac{d^n}{dx^n} G(x; \sigma) = (-1)^n He_n(x / \sigma)\, G(x; \sigma)

    ``G`` is the normal density, ``sigma`` counts in samples; see :func:`hermite_gaussians`.

    Example:
        >>> gaussian_jet(torch.tensor(2.0), order=4, half=3).shape
        torch.Size([5, 7])
    """
    samples = torch.arange(-half, half + 1, device=sigma.device, dtype=sigma.dtype)
    u = samples / sigma
    return hermite_gaussians(u, order) / (sigma * math.sqrt(2 * math.pi))


def jet_basis(sigma: Tensor, order: int, half: int) -> Tensor:  # () -> (B, K, K), K = 2 * half + 1
    """Return products of derivatives of order i along the rows and j along the columns, for all i + j <= ``order``.

    There are ``B = (order + 1) (order + 2) / 2`` of them; i is the slower index.

    Example:
        >>> jet_basis(torch.tensor(1.0), order=4, half=2).shape
        torch.Size([15, 5, 5])
    """
    jet = gaussian_jet(sigma, order, half)
    products = []
    for i in range(order + 1):
        rows = jet[i, :, None]
        columns = jet[: order + 1 - i, None, :]
        products.append(rows * columns)
    return torch.cat(products)


class NJetConv2d(nn.Module):
    r"""Convolution with a learned sum of Gaussian derivatives, whose scale, and so the kernel's size, is learned too.

    .. math:: \psi_{oc}(y, x) = \sum_{i + j \le N} \alpha_{ocij}\, \sigma^{i+j}
              \frac{\partial^{i+j} G(y, x; \sigma)}{\partial y^i \, \partial x^j}, \qquad
              |y|, |x| \le \lceil k \sigma \rceil

    N-Jet layer (Pintea et al., IEEE TIP 2021, "Resolution learning in deep convolutional networks using scale-space
    theory"), after the structured receptive fields of Jacobsen et al. 2016. One :math:`\sigma` per layer. Written
    from the formula; the authors' code (GPL) was not consulted, so it may normalise the basis in another way than by
    :math:`\sigma^{i+j}`.

    Deviations: :math:`\log \sigma` is learned (theirs is :math:`s` in :math:`\sigma = 2^s`, the same up to a
    constant). The :math:`\alpha` start such that white noise keeps its variance.

    As in the paper the size jumps with :math:`\sigma`, by taps that are :math:`e^{-k^2/2}` of the highest or less. It
    may become any size, so the engines of learned sizes compute the convolution. The size is read on every call, which
    waits for the device on an accelerator, and cannot be exported.

    A signal sampled ``s`` times as densely needs ``layer.scale = s`` (no part of the ``state_dict``) or
    ``layer.resample(s)``: sigma in samples becomes :math:`s \sigma`. The density ``G`` then falls by :math:`s^2`, so
    the sum over the samples still approximates the same integral. Where :math:`s \sigma` is below about half a sample
    it does not.

    Args:
        in_channels, out_channels, stride, groups, bias, padding_mode, device, dtype: see ``torch.nn.Conv2d``; the
            output has ``ceil(n / stride)`` samples whatever the size, as with an odd kernel padded by half of it.
        order: highest order ``N`` of a derivative. The FlexConv paper compares with 4, at ``extent`` 2.
        sigma: initial scale in samples.
        extent: where the Gaussian is cut, ``k``, in units of sigma.

    Shape: (batch, in_channels, H, W) or (in_channels, H, W). ``alpha`` is (out_channels, in_channels / groups, B),
    see :func:`jet_basis`.

    Raises:
        ValueError: for arguments out of range, inputs of the wrong shape, number of channels or dtype, and a sigma
            that is no longer finite.

    Example:
        >>> layer = NJetConv2d(3, 8, stride=2)
        >>> layer(torch.randn(2, 3, 16, 16)).shape, layer.kernel_size
        (torch.Size([2, 8, 8, 8]), (5, 5))
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        order: int = 4,
        sigma: float = 1.0,
        extent: float = 2.0,
    ) -> None:
        # One sample without padding has as many outputs as any odd kernel padded by half of it.
        arguments = ConvArguments.parse(
            2,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=1,
            stride=stride,
            padding=0,
            dilation=1,
            groups=groups,
            padding_mode=padding_mode,
            causal=False,
        )
        _check_jet(order, sigma, extent)
        super().__init__()
        self.arguments = arguments
        self.order = order
        self.initial_sigma = sigma
        self.extent = extent
        self.scale = 1.0
        zeros = torch.zeros(out_channels, device=device, dtype=dtype)
        self.register_parameter("bias", nn.Parameter(zeros) if bias else None)
        terms = (order + 1) * (order + 2) // 2
        alpha = torch.empty(out_channels, in_channels // groups, terms, device=device, dtype=dtype)
        self.alpha = nn.Parameter(alpha)
        self.log_sigma = nn.Parameter(torch.empty((), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset sigma and the bias; draw the rest anew such that white noise keeps its variance."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        nn.init.constant_(self.log_sigma, math.log(self.initial_sigma))
        sigma = torch.tensor(self.initial_sigma, device="cpu", dtype=torch.float64)
        half = self._half(self.initial_sigma)
        basis = jet_basis(sigma, self.order, half)
        fan_in = self.alpha.shape[1]
        nn.init.normal_(self.alpha, std=readout_std(basis, fan_in))

    @property
    def in_channels(self) -> int:
        return self.arguments.in_channels

    @property
    def out_channels(self) -> int:
        return self.arguments.out_channels

    @property
    def sigma(self) -> Tensor:  # ()
        """The learned scale in samples of the resolution of training."""
        return self.log_sigma.exp()

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The current size in samples, ``2 ceil(extent sigma scale) + 1``, from sigma as it is now."""
        if exporting():
            raise RuntimeError("a size that is learned cannot be exported.")
        size = 2 * self._half(self._current_sigma() * self.scale) + 1
        return (size, size)

    @property
    def weight(self) -> Tensor:  # (out, in / groups, K, K)
        """The kernels as sampled now, in float32 at least."""
        dtype = torch.promote_types(self.alpha.dtype, torch.float32)
        size = self.kernel_size
        with autocast_off(self.alpha):
            sigma = self.log_sigma.to(dtype).exp() * self.scale
            basis = jet_basis(sigma, self.order, size[0] // 2)
            kernels = self.alpha.to(dtype) @ basis.flatten(1)
            return kernels.unflatten(-1, size)

    def resample(self, scale: float | Sequence[float]) -> None:
        """Serve signals that are sampled ``scale`` times as densely as now.

        Raises:
            ValueError: ``scale`` is not one positive number (the basis has the same sigma along both axes), or makes
                the Gaussian narrower than one sample, at half its height.
        """
        factors = {scale} if isinstance(scale, int | float) else set(scale)
        positive = all(0 < factor < math.inf for factor in factors)
        if len(factors) != 1 or not positive:
            raise ValueError(f"`scale` must be one positive number for both axes, got {scale}.")
        scaled = self.scale * factors.pop()
        sigma = self.initial_sigma if self.log_sigma.is_meta else self.sigma.item()
        if sigma * scaled < NARROWEST:
            raise ValueError(
                f"`scale` {scale} makes the kernel smaller than one sample: sigma would be {sigma * scaled:.3g} of one."
            )
        self.scale = scaled

    def forward(self, input: Tensor) -> Tensor:
        check_input(input, self.arguments, type(self).__name__)
        signal = input.to(agreed_dtype(input, self.alpha.dtype, type(self).__name__))
        if input.dim() == 4:
            return self._convolve(signal)
        return self._convolve(signal.unsqueeze(0)).squeeze(0)

    def _convolve(self, signal: Tensor) -> Tensor:  # (B, in, H, W) -> (B, out, H', W')
        arguments = self.arguments
        weight = self.weight.to(signal.dtype)
        size = weight.shape[-1]
        half = size // 2
        padding: Padding = ((half, half), (half, half))
        check_extension(signal.shape[2:], padding, arguments.padding_mode, f" for a kernel of {size} samples")
        if arguments.padding_mode == "zeros":
            # Taps that are farther off than the signal is long meet zeros only.
            halves = [min(half, length - 1) for length in signal.shape[2:]]
            weight = weight[last_axes(slice(half - each, half + each + 1) for each in halves)]
            padding = tuple((each, each) for each in halves)
        else:
            signal = pad(signal, padding, arguments.padding_mode)
            padding = ()
        bias = None if self.bias is None else self.bias.to(signal.dtype)
        return convolve(
            signal,
            weight,
            bias,
            stride=arguments.stride,
            padding=padding,
            groups=arguments.groups,
        )

    def _current_sigma(self) -> float:
        if self.log_sigma.is_meta:
            return self.initial_sigma
        return self.log_sigma.detach().float().exp().item()

    def _half(self, sigma: float) -> int:
        if not sigma < math.inf:  # also refuses NaN
            raise ValueError(f"`sigma` must be finite, got {sigma}; a lower learning rate of `log_sigma` may help.")
        return math.ceil(self.extent * sigma * (1 - ROUNDING))

    def extra_repr(self) -> str:
        arguments = replace(self.arguments, kernel_size=self.kernel_size)
        words = [
            arguments.describe(),
            f"bias={self.bias is not None}",
            f"order={self.order}",
            f"extent={self.extent:g}",
        ]
        if self.scale != 1:
            words.append(f"scale={self.scale}")
        return ", ".join(words)


def _check_jet(order: int, sigma: float, extent: float) -> None:
    if order < 0:
        raise ValueError(f"`order` must not be negative, got {order}.")
    for name, value in (("sigma", sigma), ("extent", extent)):
        if not 0 < value < math.inf:
            raise ValueError(f"`{name}` must be positive, got {value}.")
