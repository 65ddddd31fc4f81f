"""The block-by-block computation as custom operators, which compilers call without tracing into them."""

import torch
from torch import Tensor

from .._support.precision import autocast_off
from .blocks import backward_blocks, forward_blocks
from .spec import SHARINGS, SQUASHES, AdaptiveSpec, Squash

SQUASH_NAMES: tuple[Squash, ...] = tuple(SQUASHES)


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
    output: Tensor = torch.ops.flexkern.adaptive_conv(padded, matrices, gain, scale, pack_spec(spec))
    return output


def pack_spec(spec: AdaptiveSpec) -> list[int]:
    """Return a spec with a named squash as integers, because operators take no other objects.

    Example:
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> pack_spec(AdaptiveSpec(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh"))
        [2, 4, 1, 0, 0, 0, 3, 3, 1, 1]
    """
    return [
        spec.in_channels,
        spec.out_channels,
        spec.groups,
        SHARINGS.index(spec.sharing),
        SQUASH_NAMES.index(spec.squash),
        int(spec.normalize),
        *spec.kernel,
        *spec.generator,
        *spec.stride,
        *spec.dilation,
    ]


def _unpack_spec(values: list[int]) -> AdaptiveSpec:
    """Return the spec that :func:`pack_spec` packed."""
    in_channels, out_channels, groups, sharing, squash, normalize, *sizes = values
    axes = len(sizes) // 4
    kernel, generator, stride, dilation = (tuple(sizes[i * axes : (i + 1) * axes]) for i in range(4))
    return AdaptiveSpec(
        in_channels,
        out_channels,
        kernel,
        generator,
        stride,
        dilation,
        groups,
        SHARINGS[sharing],
        SQUASH_NAMES[squash],
        bool(normalize),
    )


@torch.library.custom_op("flexkern::adaptive_conv", mutates_args=())
def adaptive_operator(
    padded: Tensor,
    matrices: Tensor,
    gain: Tensor | None,
    scale: Tensor | None,
    packed_spec: list[int],
) -> Tensor:
    """Return an adaptive convolution, given the generator's matrices and the packed spec."""
    spec = _unpack_spec(packed_spec)
    with torch.no_grad(), autocast_off(padded):
        return forward_blocks(padded, matrices, spec, gain, scale)


@torch.library.custom_op("flexkern::adaptive_conv_gradients", mutates_args=())
def gradients_operator(
    gradient: Tensor,
    padded: Tensor,
    matrices: Tensor,
    gain: Tensor | None,
    scale: Tensor | None,
    packed_spec: list[int],
    needs: list[bool],
) -> list[Tensor]:
    """Return the gradients of padded input, matrices, gain and scale, without those absent or not needed.

    ``needs`` has two values: whether the input needs a gradient, and whether any parameter does.
    """
    spec = _unpack_spec(packed_spec)
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
def _output_like(padded, matrices, gain, scale, packed_spec):  # type: ignore[no-untyped-def]
    spec = _unpack_spec(packed_spec)
    size = spec.output_size(padded.shape)
    return padded.new_empty(padded.shape[0], spec.out_channels, *size)


@gradients_operator.register_fake
def _gradients_like(gradient, padded, matrices, gain, scale, packed_spec, needs):  # type: ignore[no-untyped-def]
    tensors = padded, matrices, gain, scale
    return [torch.empty_like(tensor) for tensor in _differentiable(tensors, needs) if tensor is not None]


def _save(ctx, inputs, output):  # type: ignore[no-untyped-def]
    *tensors, packed_spec = inputs
    ctx.packed_spec = packed_spec
    ctx.save_for_backward(*tensors)


def _backward(ctx, gradient):  # type: ignore[no-untyped-def]
    tensors = ctx.saved_tensors
    needs_input, *needs_parameters = ctx.needs_input_grad[:4]
    needs = [needs_input, any(needs_parameters)]
    computed = iter(torch.ops.flexkern.adaptive_conv_gradients(gradient, *tensors, ctx.packed_spec, needs))
    gradients = []
    for tensor in _differentiable(tensors, needs):
        gradients.append(None if tensor is None else next(computed))
    return *gradients, None


def _differentiable(tensors, needs):  # type: ignore[no-untyped-def]
    """Replace those of padded, matrices, gain and scale that have no gradient by None."""
    padded, *parameters = tensors
    needs_input, needs_parameters = needs
    return [
        padded if needs_input else None,
        *(parameter if needs_parameters else None for parameter in parameters),
    ]


adaptive_operator.register_autograd(_backward, setup_context=_save)
