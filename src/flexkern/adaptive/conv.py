"""The entry: kernels from the input, applied to the input, by whichever form suits the moment."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

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
    r"""Convolution whose kernel at every position is computed from the input around that position.

    .. math:: z_{ocu}(p) = \beta_{ocu} + \sum_a Q_{ocu}(a) X_c(p + a), \quad K = \mathrm{squash}(z), \quad
        Y_o(p) = \sum_{c,u} K_{ocu}(p) X_c(p + u)

    Zamora Esquivel et al. 2019 with ``squash="tanh"``; other sharings let :math:`Q` see all channels, see
    :class:`~flexkern.layers.adaptive.AdaptiveConv`.

    Args:
        padded: the signal, extended by the padding and by ``spec.reach`` beyond it.
        weight: Q, the weight of the generator's convolution: (banks * rows, seen, *generator).
        bias: beta, (banks * rows,), or None.
        gain: factors of the squashed values, (banks, outputs, applied, taps).
        scale: factors of whole kernels, (banks, outputs, applied).
        remat: save the input only and compute kernels again in backward; else autograd keeps them all. Compiled code
            always computes those of a named squash again.

    Example:
        >>> spec = AdaptiveSpec(1, 2, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> adaptive_conv(torch.randn(4, 1, 10), torch.randn(6, 1, 3), None, spec).shape
        torch.Size([4, 2, 8])
    """
    tensors = [one for one in (padded, weight, bias, gain, scale) if one is not None]
    recorded = torch.is_grad_enabled() and any(one.requires_grad for one in tensors)
    if compiling():
        if not exporting() and isinstance(spec.squash, str):
            return traced_adaptive_conv(padded, embed(weight, bias, spec), spec, gain, scale)
        return plain_adaptive_conv(padded, weight, bias, spec, gain=gain, scale=scale)
    if transforming() or (recorded and not remat):
        return plain_adaptive_conv(padded, weight, bias, spec, gain=gain, scale=scale)
    if not recorded:
        return forward_blocks(padded, embed(weight, bias, spec), spec, gain, scale)
    output: Tensor = AdaptiveConvolution.apply(spec, padded, weight, bias, gain, scale)
    return output


class AdaptiveConvolution(torch.autograd.Function):
    """Blocks forward, blocks backward; saves its inputs, and the generator as matrices."""

    @staticmethod
    def forward(ctx: Any, spec: AdaptiveSpec, padded: Tensor, weight: Tensor, *rest: Tensor | None) -> Tensor:
        bias, gain, scale = rest
        matrices = embed(weight, bias, spec)
        ctx.spec = spec
        ctx.save_for_backward(matrices, padded, weight, *rest)
        return forward_blocks(padded, matrices, spec, gain, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        matrices, *inputs = ctx.saved_tensors
        if torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(gradient):
            return None, *_differentiable(gradient, inputs, ctx.spec)
        padded, weight, bias, gain, scale = inputs
        needs = ctx.needs_input_grad[1], any(ctx.needs_input_grad[2:])
        found = backward_blocks(padded, matrices, ctx.spec, gradient, needs, gain=gain, scale=scale)
        if found.matrices is None:
            return None, found.padded, None, None, None, None
        of_weight, of_bias = extract(found.matrices, ctx.spec, weight.shape)
        return None, found.padded, of_weight, None if bias is None else of_bias, found.gain, found.scale


def _differentiable(gradient: Tensor, saved: Sequence[Any], spec: AdaptiveSpec) -> tuple[Tensor | None, ...]:
    """The gradients as a graph, for gradients of gradients: the plain form, differentiated by autograd."""
    wanted = [one for one in saved if one is not None and one.requires_grad]
    recorded = torch.is_grad_enabled()
    padded, weight, *rest = saved
    bias, gain, scale = rest
    with torch.enable_grad():
        output = plain_adaptive_conv(padded, weight, bias, spec, gain=gain, scale=scale)
    found = iter(torch.autograd.grad(output, wanted, gradient, create_graph=recorded))
    return tuple(next(found) if one is not None and one.requires_grad else None for one in saved)
