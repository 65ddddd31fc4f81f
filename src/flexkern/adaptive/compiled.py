"""The blocks as one operator that compilers do not look into."""

import torch
from torch import Tensor

from .._support.precision import autocast_off
from .blocks import backward_blocks, forward_blocks
from .spec import AdaptiveSpec


def traced_adaptive_conv(
    padded: Tensor, matrices: Tensor, spec: AdaptiveSpec, gain: Tensor | None, scale: Tensor | None
) -> Tensor:
    """The operator's call for a form.

    Example:
        >>> import torch
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> spec = AdaptiveSpec(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> traced_adaptive_conv(torch.ones(1, 2, 8), torch.zeros(2, 12, 4), spec, None, None).shape
        torch.Size([1, 4, 6])
    """
    sizes = [*spec.kernel, *spec.generator, *spec.stride, *spec.dilation]
    channels = [spec.in_channels, spec.out_channels, spec.groups, int(spec.normalize)]
    output: Tensor = torch.ops.flexkern.adaptive_conv(
        padded, matrices, gain, scale, sizes, channels, spec.sharing, spec.squash
    )
    return output


@torch.library.custom_op("flexkern::adaptive_conv", mutates_args=())
def adaptive_operator(
    padded: Tensor,
    matrices: Tensor,
    gain: Tensor | None,
    scale: Tensor | None,
    sizes: list[int],
    channels: list[int],
    sharing: str,
    squash: str,
) -> Tensor:
    """An adaptive convolution; the generator is given by its matrices."""
    with torch.no_grad(), autocast_off(padded):
        return forward_blocks(padded, matrices, _form(sizes, channels, sharing, squash), gain, scale)


@torch.library.custom_op("flexkern::adaptive_conv_gradients", mutates_args=())
def gradients_operator(
    gradient: Tensor,
    padded: Tensor,
    matrices: Tensor,
    gain: Tensor | None,
    scale: Tensor | None,
    sizes: list[int],
    channels: list[int],
    sharing: str,
    squash: str,
    needs: list[bool],
) -> list[Tensor]:
    """Gradients of the input, and of matrices and (where present) gain and scale: those of the two that are needed."""
    spec, (of_input, of_parameters) = _form(sizes, channels, sharing, squash), needs
    with torch.no_grad(), autocast_off(padded):
        found = backward_blocks(padded, matrices, spec, gradient, (of_input, of_parameters), gain=gain, scale=scale)
    return [one for one in found if one is not None]


@adaptive_operator.register_fake
def _output_like(padded, matrices, gain, scale, sizes, channels, sharing, squash):  # type: ignore[no-untyped-def]
    spec = _form(sizes, channels, sharing, squash)
    return padded.new_empty(padded.shape[0], spec.out_channels, *spec.output_size(padded.shape))


@gradients_operator.register_fake
def _gradients_like(gradient, *tensors_and_options):  # type: ignore[no-untyped-def]
    wanted = zip(tensors_and_options[:4], _wanted(tensors_and_options[-1]), strict=True)
    return [torch.empty_like(one) for one, needed in wanted if needed and one is not None]


def _save(ctx, inputs, output):  # type: ignore[no-untyped-def]
    *tensors, sizes, channels, sharing, squash = inputs
    ctx.options = sizes, channels, sharing, squash
    ctx.save_for_backward(*tensors)


def _gradients(ctx, gradient):  # type: ignore[no-untyped-def]
    tensors, needs = ctx.saved_tensors, [ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:4])]
    found = iter(torch.ops.flexkern.adaptive_conv_gradients(gradient, *tensors, *ctx.options, needs))
    wanted = zip(tensors, _wanted(needs), strict=True)
    given = (next(found) if needed and one is not None else None for one, needed in wanted)
    return *given, None, None, None, None


def _wanted(needs):  # type: ignore[no-untyped-def]
    """Of padded, matrices, gain and scale, which have a gradient."""
    return needs[0], *(needs[1],) * 3


adaptive_operator.register_autograd(_gradients, setup_context=_save)


def _form(sizes: list[int], channels: list[int], sharing: str, squash: str) -> AdaptiveSpec:
    axes = len(sizes) // 4
    kernel, generator, stride, dilation = (tuple(sizes[i * axes : (i + 1) * axes]) for i in range(4))
    ins, outs, groups, normalize = channels
    return AdaptiveSpec(ins, outs, kernel, generator, stride, dilation, groups, sharing, squash, bool(normalize))
