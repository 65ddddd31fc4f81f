"""The block-by-block computation as custom operators, which compilers call without tracing into them."""

import torch
from torch import Tensor

from .._support.precision import autocast_off
from .blocks import backward_blocks, forward_blocks
from .spec import AdaptiveSpec


def traced_adaptive_conv(
    padded: Tensor,
    matrices: Tensor,
    spec: AdaptiveSpec,
    gain: Tensor | None,
    scale: Tensor | None,
) -> Tensor:
    """Call the operator for ``spec``; ``matrices`` is the generator as returned by :func:`embed`.

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
        padded,
        matrices,
        gain,
        scale,
        sizes,
        channels,
        spec.sharing,
        spec.squash,
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
    """Return an adaptive convolution, given the generator's matrices and the values of an AdaptiveSpec."""
    spec = _unpack_spec(sizes, channels, sharing, squash)
    with torch.no_grad(), autocast_off(padded):
        return forward_blocks(padded, matrices, spec, gain, scale)


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
    """Return the gradients of padded input, matrices, gain and scale, without those absent or not needed.

    ``needs`` has two values: whether the input needs a gradient, and whether any parameter does.
    """
    spec = _unpack_spec(sizes, channels, sharing, squash)
    needs_input, needs_parameters = needs
    with torch.no_grad(), autocast_off(padded):
        gradients = backward_blocks(
            padded,
            matrices,
            spec,
            gradient,
            (needs_input, needs_parameters),
            gain=gain,
            scale=scale,
        )
    return [tensor for tensor in gradients if tensor is not None]


@adaptive_operator.register_fake
def _output_like(padded, matrices, gain, scale, sizes, channels, sharing, squash):  # type: ignore[no-untyped-def]
    spec = _unpack_spec(sizes, channels, sharing, squash)
    size = spec.output_size(padded.shape)
    return padded.new_empty(padded.shape[0], spec.out_channels, *size)


@gradients_operator.register_fake
def _gradients_like(gradient, *tensors_and_options):  # type: ignore[no-untyped-def]
    tensors = tensors_and_options[:4]
    needs = tensors_and_options[-1]
    return [torch.empty_like(tensor) for tensor in _differentiable(tensors, needs) if tensor is not None]


def _save(ctx, inputs, output):  # type: ignore[no-untyped-def]
    *tensors, sizes, channels, sharing, squash = inputs
    ctx.options = sizes, channels, sharing, squash
    ctx.save_for_backward(*tensors)


def _backward(ctx, gradient):  # type: ignore[no-untyped-def]
    tensors = ctx.saved_tensors
    needs_input, *needs_parameters = ctx.needs_input_grad[:4]
    needs = [needs_input, any(needs_parameters)]
    computed = iter(torch.ops.flexkern.adaptive_conv_gradients(gradient, *tensors, *ctx.options, needs))
    gradients = []
    for tensor in _differentiable(tensors, needs):
        gradients.append(None if tensor is None else next(computed))
    return *gradients, None, None, None, None


def _differentiable(tensors, needs):  # type: ignore[no-untyped-def]
    """Replace those of padded, matrices, gain and scale that have no gradient by None."""
    padded, *parameters = tensors
    needs_input, needs_parameters = needs
    return [
        padded if needs_input else None,
        *(parameter if needs_parameters else None for parameter in parameters),
    ]


adaptive_operator.register_autograd(_backward, setup_context=_save)


def _unpack_spec(sizes: list[int], channels: list[int], sharing: str, squash: str) -> AdaptiveSpec:
    """Return the AdaptiveSpec whose values :func:`traced_adaptive_conv` packed into lists."""
    axes = len(sizes) // 4
    kernel, generator, stride, dilation = (tuple(sizes[i * axes : (i + 1) * axes]) for i in range(4))
    in_channels, out_channels, groups, normalize = channels
    return AdaptiveSpec(
        in_channels,
        out_channels,
        kernel,
        generator,
        stride,
        dilation,
        groups,
        sharing,
        squash,
        bool(normalize),
    )
