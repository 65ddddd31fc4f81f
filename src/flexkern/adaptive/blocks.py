"""The adaptive convolution block by block, without ever materialising the kernels of all positions.

These kernels would be ``out_channels`` times larger than the unfolded input, which itself is larger than the input by
the number of taps. Instead, one tile of the input at a time is unfolded: some samples, or some rows of a large one. For
a block of its positions, one matrix product computes the generator's output. It becomes kernels in place, these are
applied, and the buffer is used again. The backward pass recomputes the kernels in the same way.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from .kernels import Kernels, select_kernels
from .patches import Block, add_kernel_inputs, fold, generator_inputs, has_bias, kernel_inputs, unfold
from .spec import AdaptiveSpec
from .workspace import Workspace, workspace

CACHE_VALUES = {"cpu": 2**20}
"""Kernel values in a block, by device: 4 MB, two or three buffers of which fit into the last-level cache."""
OTHER_DEVICE_VALUES = 2**24
"""Kernel values in a block on any other device."""
LEAST_POSITIONS = 64
"""Positions below which a matrix product is mostly overhead."""
PATCH_VALUES = 2**20
"""Unfolded values in a tile, unless a single row of outputs has more."""


class Tile(NamedTuple):
    """The part of the input to unfold at a time, and the part of the output it gives, as indices."""

    input: tuple[slice, slice, slice]
    output: tuple[slice, slice, slice]


class Gradients(NamedTuple):
    """The gradients of padded input, embedded weight, gain and scale; None where not required."""

    padded: Tensor | None
    matrices: Tensor | None
    gain: Tensor | None
    scale: Tensor | None


def forward_blocks(
    padded: Tensor,
    matrices: Tensor,
    spec: AdaptiveSpec,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:  # (B, in, *padded) -> (B, out, *S)
    """Return the adaptive convolution at all positions; ``matrices`` is the generator as returned by :func:`embed`.

    Example:
        >>> import torch
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> spec = AdaptiveSpec(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> forward_blocks(torch.ones(1, 2, 8), torch.zeros(2, 12, 4), spec).shape
        torch.Size([1, 4, 6])
    """
    batch = padded.shape[0]
    size = spec.output_size(padded.shape)
    output = padded.new_empty(batch, spec.out_channels, *size)
    biased = has_bias(matrices, spec)
    with workspace(padded) as work:
        kernels = select_kernels(spec, gain, scale, work, biased=biased)
        prepared = kernels.prepare(matrices)
        for tile in _tiles(tuple(padded.shape), spec):
            patches = unfold(padded[tile.input], spec, ones=biased)
            tile_output = output[tile.output].transpose(0, 1)
            sums = _forward_tile(patches, prepared, kernels, spec, work)
            sums = sums.view(tile_output.shape)
            torch.mul(sums, kernels.factor, out=tile_output)
    return output


def _forward_tile(
    patches: Tensor,
    prepared: Tensor,
    kernels: Kernels,
    spec: AdaptiveSpec,
    work: Workspace,
) -> Tensor:
    """Return the outputs of one tile, (groups, outputs, positions), without the kernels' common factor."""
    positions = patches.shape[2]
    sums = patches.new_empty(spec.groups, spec.outputs, positions)
    for block in _blocks(spec, positions, patches.device.type):
        inputs = generator_inputs(patches, spec, block)
        z = _generate(prepared, inputs, block, work)
        values = kernel_inputs(patches, spec, block)
        products = kernels.apply(z, values, block.generator_groups)
        products = _sum_per_group(products, spec)
        first = block.generator_groups.start % spec.per_group == 0
        if first:  # nothing to add to yet
            sums[block.groups, :, block.positions] = products
        else:
            sums[block.groups, :, block.positions] += products
    return sums


def backward_blocks(
    padded: Tensor,
    matrices: Tensor,
    spec: AdaptiveSpec,
    gradient: Tensor,
    needs: tuple[bool, bool],
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Gradients:
    """Return the gradients, computed from the inputs alone.

    Args:
        padded: the input of the forward pass, (B, in, *padded).
        matrices: the generator, as returned by :func:`embed`.
        spec: the convolution.
        gradient: the gradient of the output, (B, out, *S).
        needs: whether the input needs a gradient, and whether any parameter does.
        gain: the gains of the forward pass, or None.
        scale: the scales of the forward pass, or None.
    """
    needs_input, needs_parameters = needs
    # Gradients of matrices are summed transposed: a product of (inputs x outputs) is twice as fast that way round.
    transposed = matrices.mT.contiguous()
    totals = Gradients(
        _zeros_like(padded, needed=needs_input),
        _zeros_like(transposed, needed=needs_parameters),
        _zeros_like(gain, needed=needs_parameters),
        _zeros_like(scale, needed=needs_parameters),
    )
    biased = has_bias(matrices, spec)
    with workspace(padded) as work:
        kernels = select_kernels(spec, gain, scale, work, biased=biased)
        for tile in _tiles(tuple(padded.shape), spec):
            patches = unfold(padded[tile.input], spec, ones=biased)
            grad_patches = torch.empty_like(patches) if needs_input else None
            grad_outputs = gradient[tile.output].transpose(0, 1)
            grad_outputs = grad_outputs.reshape(spec.groups, spec.outputs, -1).contiguous()
            _backward_tile(
                patches,
                grad_patches,
                grad_outputs,
                matrices,
                kernels,
                spec,
                totals,
                work,
            )
            if totals.padded is not None and grad_patches is not None:
                samples = grad_patches.shape[1] - biased
                grad_input = totals.padded[tile.input]
                fold(grad_patches[:, :samples], grad_input, spec)
    if totals.matrices is None:
        return totals
    return totals._replace(matrices=totals.matrices.mT.contiguous())


def _zeros_like(tensor: Tensor | None, *, needed: bool) -> Tensor | None:
    if tensor is None or not needed:
        return None
    return torch.zeros_like(tensor)


def _backward_tile(
    patches: Tensor,
    grad_patches: Tensor | None,
    grad_outputs: Tensor,
    matrices: Tensor,
    kernels: Kernels,
    spec: AdaptiveSpec,
    totals: Gradients,
    work: Workspace,
) -> None:
    """Fill ``grad_patches`` and add the tile's gradients of parameters to ``totals``, whose matrices are transposed."""
    prepared = kernels.prepare(matrices)
    for block in _blocks(spec, patches.shape[2], patches.device.type):
        generator_groups = block.generator_groups
        inputs = generator_inputs(patches, spec, block)
        values = kernel_inputs(patches, spec, block)
        block_gradient = grad_outputs[block.groups, :, block.positions]
        grad_products = _repeat_per_generator(block_gradient, generator_groups)[:, :, None, None]
        z = _generate(prepared, inputs, block, work)
        gradients = kernels.gradients(z, values, grad_products, generator_groups)
        if totals.matrices is not None:
            totals.matrices[generator_groups].baddbmm_(inputs, gradients.z.mT)
        if totals.gain is not None and gradients.gain is not None:
            totals.gain[generator_groups] += gradients.gain
        if totals.scale is not None and gradients.scale is not None:
            totals.scale[generator_groups] += gradients.scale
        if grad_patches is not None:
            # Every block has its own part of the patches, so that there is nothing to add to yet.
            grad_inputs = generator_inputs(grad_patches, spec, block)
            grad_inputs.baddbmm_(matrices[generator_groups].mT, gradients.z, beta=0)
            add_kernel_inputs(grad_patches, gradients.values, spec, block)


def _generate(
    matrices: Tensor,
    inputs: Tensor,
    block: Block,
    work: Workspace,
) -> Tensor:
    """Return the generators' outputs in a block: (generator_groups, generator_out_channels, positions)."""
    generators = matrices[block.generator_groups]
    count, out_channels, _ = generators.shape
    buffer = work.take("z", count, out_channels, inputs.shape[2])
    return torch.bmm(generators, inputs, out=buffer)


@functools.lru_cache(maxsize=256)
def _tiles(padded: tuple[int, ...], spec: AdaptiveSpec) -> tuple[Tile, ...]:
    """Return the tiles of a padded input of this shape: chunks of the batch, or strips of rows of one sample."""
    rows, *other_axes = spec.output_size(padded)
    batch, channels, *_ = padded
    position_values = channels * math.prod(spec.window_size)
    row_values = position_values * math.prod(other_axes)
    sample_values = row_values * rows
    batch_chunk = max(1, PATCH_VALUES // sample_values)
    strips = 1
    if batch_chunk == 1:
        strips = min(rows, _ceil_divide(sample_values, PATCH_VALUES))
    height = _ceil_divide(rows, strips)
    tiles = []
    for sample in range(0, batch, batch_chunk):
        samples = slice(sample, sample + batch_chunk)
        for top in range(0, rows, height):
            bottom = min(top + height, rows)
            tiles.append(_tile(samples, slice(top, bottom), spec))
    return tuple(tiles)


def _tile(samples: slice, rows: slice, spec: AdaptiveSpec) -> Tile:
    """Return the tile of some samples and some rows of outputs."""
    stride = spec.stride[0]
    first = rows.start * stride
    last = (rows.stop - 1) * stride
    channels = slice(None)
    input_rows = slice(first, last + spec.extent[0])
    return Tile((samples, channels, input_rows), (samples, channels, rows))


@functools.lru_cache(maxsize=256)
def _blocks(spec: AdaptiveSpec, positions: int, device: str) -> tuple[Block, ...]:
    """Return the blocks that cover all positions of all generator groups."""
    budget = CACHE_VALUES.get(device, OTHER_DEVICE_VALUES)
    width = _positions_per_block(spec, positions, budget)
    count = _generators_per_block(spec, width, budget)
    blocks = []
    for first in range(0, spec.generator_groups, count):
        last = min(first + count, spec.generator_groups)
        generator_groups = slice(first, last)
        first_group = first // spec.per_group
        groups = slice(first_group, _ceil_divide(last, spec.per_group))
        for start in range(0, positions, width):
            stop = min(start + width, positions)
            blocks.append(Block(generator_groups, slice(start, stop), groups))
    return tuple(blocks)


def _positions_per_block(spec: AdaptiveSpec, positions: int, budget: int) -> int:
    """Return the positions per block, such that all blocks are about equally large."""
    values = spec.generator_groups * spec.generator_out_channels
    most = min(positions, max(LEAST_POSITIONS, budget // values))
    blocks = _ceil_divide(positions, most)
    return _ceil_divide(positions, blocks)


def _generators_per_block(spec: AdaptiveSpec, positions: int, budget: int) -> int:
    """Return the generator groups per block: whole groups of the convolution, or a divisor of one."""
    affordable = max(1, budget // (spec.generator_out_channels * positions))
    count = min(spec.generator_groups, affordable)
    if count >= spec.per_group:
        return count - count % spec.per_group
    while spec.per_group % count:
        count -= 1
    return count


def _ceil_divide(total: int, step: int) -> int:
    return -(-total // step)


def _sum_per_group(products: Tensor, spec: AdaptiveSpec) -> Tensor:
    """Sum over the generator groups of each group: (generator_groups, outputs, positions) -> (groups, ...)."""
    count = min(len(products), spec.per_group)
    if count == 1:
        return products
    return products.unflatten(0, (-1, count)).sum(1)


def _repeat_per_generator(grad_outputs: Tensor, generator_groups: slice) -> Tensor:
    """Repeat the gradient for each generator group: (groups, outputs, positions) -> (generator_groups, ...)."""
    count = generator_groups.stop - generator_groups.start
    repeats = count // len(grad_outputs)
    if len(grad_outputs) == 1:
        return grad_outputs.expand(repeats, -1, -1)
    return grad_outputs.repeat_interleave(repeats, 0)
