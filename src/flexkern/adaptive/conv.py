"""The entry point: choose how to compute an adaptive convolution, and connect the blocks to autograd."""

from typing import Any

import torch
from torch import Tensor

from .._support.second_order import differentiate_again
from .._support.tracing import compiling, exporting, transforming
from .blocks import backward_blocks, forward_blocks
from .compiled import traced_adaptive_conv
from .patches import embed, extract
from .plain import plain_adaptive_conv
from .spec import AdaptiveSpec


def adaptive_conv(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    spec: AdaptiveSpec,
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
    remat: bool = True,
) -> Tensor:  # (B, in, *padded) -> (B, out, *S)
    r"""Return a convolution whose kernel at every position is computed from the input around that position.

    .. math:: z_{ocu}(p) = \beta_{ocu} + \sum_a Q_{ocu}(a) X_c(p + a), \quad K = \mathrm{squash}(z), \quad
        Y_o(p) = \sum_{c,u} K_{ocu}(p) X_c(p + u)

    This is Zamora Esquivel et al. 2019 with ``squash="tanh"``. With other sharings :math:`Q` sees all channels, see
    :class:`~flexkern.layers.adaptive.AdaptiveConv`.

    Args:
        padded: the signal, extended by the padding and by ``spec.margins`` beyond it.
        weight: Q, the weight of the generator's convolution, of shape
            (generator_groups * generator_out_channels, generator_in_channels, *generator).
        bias: beta, (generator_groups * generator_out_channels,), or None.
        spec: sizes, channels, sharing and squash.
        gain: factors of the squashed values, (generator_groups, outputs, kernels_per_output, taps), or None.
        scale: factors of whole kernels, (generator_groups, outputs, kernels_per_output), or None.
        remat: save the inputs only and recompute the kernels in the backward pass; if False, autograd stores all
            kernels. Compiled code always recomputes those of a named squash.

    Example:
        >>> spec = AdaptiveSpec(1, 2, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> adaptive_conv(torch.randn(4, 1, 10), torch.randn(6, 1, 3), None, spec).shape
        torch.Size([4, 2, 8])
    """
    recorded = torch.is_grad_enabled() and _any_requires_grad(padded, weight, bias, gain, scale)
    if compiling():
        if isinstance(spec.squash, str) and not exporting():
            return traced_adaptive_conv(padded, embed(weight, bias, spec), spec, gain, scale)
        return plain_adaptive_conv(padded, weight, bias, spec, gain=gain, scale=scale)
    if transforming() or (recorded and not remat):
        return plain_adaptive_conv(padded, weight, bias, spec, gain=gain, scale=scale)
    if not recorded:
        return forward_blocks(padded, embed(weight, bias, spec), spec, gain, scale)
    output: Tensor = AdaptiveConvolution.apply(spec, padded, weight, bias, gain, scale)
    return output


def _any_requires_grad(*tensors: Tensor | None) -> bool:
    return any(tensor is not None and tensor.requires_grad for tensor in tensors)


class AdaptiveConvolution(torch.autograd.Function):
    """The block-by-block computation as an autograd function; it saves its inputs and the generator's matrices."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: AdaptiveSpec,
        padded: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        gain: Tensor | None,
        scale: Tensor | None,
    ) -> Tensor:
        matrices = embed(weight, bias, spec)
        ctx.spec = spec
        ctx.save_for_backward(matrices, padded, weight, bias, gain, scale)
        return forward_blocks(padded, matrices, spec, gain, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        spec: AdaptiveSpec = ctx.spec
        matrices, *inputs = ctx.saved_tensors
        padded, weight, bias, gain, scale = inputs

        def forward() -> Tensor:
            return plain_adaptive_conv(padded, weight, bias, spec, gain=gain, scale=scale)

        if torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(gradient):
            return None, *differentiate_again(forward, inputs, gradient)
        _, needs_input, *needs_parameters = ctx.needs_input_grad
        needs = needs_input, any(needs_parameters)
        gradients = backward_blocks(padded, matrices, spec, gradient, needs, gain=gain, scale=scale)
        if gradients.matrices is None:
            return None, gradients.padded, None, None, None, None
        grad_weight, grad_bias = extract(gradients.matrices, spec, weight.shape)
        return (
            None,
            gradients.padded,
            grad_weight,
            None if bias is None else grad_bias,
            gradients.gain,
            gradients.scale,
        )
