"""The adaptive convolution block by block: kernels live in the cache only, and backward computes them again.

The kernels of all positions are ``out_channels`` times larger than the unfolded input, which is larger than the
input by the window. Here some samples, or rows of one, are unfolded; of a block of positions one product of matrices
gives what the generator says, kernels are made and applied in place, and the block is forgotten.
"""

import functools
import itertools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .kernels import Kernels, kernels_of
from .patches import add_values, fold, has_ones, seen_by, unfold, values_of
from .spec import AdaptiveSpec
from .workspace import Workspace, workspace

CACHE_VALUES = {"cpu": 2**20}
"""Kernel values in a block, by device: 4 MB, of which the last cache holds two or three buffers."""
ELSEWHERE_VALUES = 2**24
LEAST_POSITIONS = 64
"""Positions below which a product of matrices is mostly overhead."""
PATCH_VALUES = 2**20
"""Unfolded values that are held at a time, if one row of outputs has no more."""


class Block(NamedTuple):
    """A range of banks and a range of positions, and the groups that the banks belong to."""

    banks: slice
    positions: slice
    groups: slice


class Gradients(NamedTuple):
    """Of input, embedded weight, gain and scale; None where not asked for."""

    padded: Tensor | None
    matrices: Tensor | None
    gain: Tensor | None
    scale: Tensor | None


def forward_blocks(
    padded: Tensor, matrices: Tensor, spec: AdaptiveSpec, gain: Tensor | None = None, scale: Tensor | None = None
) -> Tensor:  # (B, in, *padded) -> (B, out, *S)
    """All positions; the generator's ``matrices`` are those of :func:`embed`.

    Example:
        >>> import torch
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> spec = AdaptiveSpec(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> forward_blocks(torch.ones(1, 2, 8), torch.zeros(2, 12, 4), spec).shape
        torch.Size([1, 4, 6])
    """
    output = padded.new_empty(padded.shape[0], spec.out_channels, *spec.output_size(padded.shape))
    ones = has_ones(matrices, spec)
    with workspace(padded) as work:
        kernels = kernels_of(spec, gain, scale, work, biased=ones)
        prepared = kernels.prepare(matrices)
        for read, written in _pieces(tuple(padded.shape), spec):
            patches, into = unfold(padded[read], spec, ones=ones), output[written].transpose(0, 1)
            found = padded.new_empty(spec.groups, spec.outputs, patches.shape[2])
            for banks, positions, groups in _blocks(spec, patches.shape[2], padded.device.type):
                z = _generated(prepared, seen_by(patches, spec, banks, positions), banks, work)
                values = values_of(patches, spec, banks, positions)
                part = _added_up(kernels.apply(z, values, banks), spec)
                if banks.start % spec.per_group:
                    found[groups, :, positions] += part
                else:  # nothing is there yet
                    found[groups, :, positions] = part
            torch.mul(found.view(into.shape), kernels.factor, out=into)
    return output


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
    """Gradients from the input alone; ``needs`` those of (input, parameters)."""
    of_padded = torch.zeros_like(padded) if needs[0] else None
    # Samples times rows instead of rows times samples: matrix products are twice as fast that way round.
    turned = matrices.mT.contiguous()
    rest = [None if one is None or not needs[1] else torch.zeros_like(one) for one in (turned, gain, scale)]
    found = Gradients(of_padded, *rest)
    ones = has_ones(matrices, spec)
    with workspace(padded) as work:
        kernels = kernels_of(spec, gain, scale, work, biased=ones)
        for read, written in _pieces(tuple(padded.shape), spec):
            patches = unfold(padded[read], spec, ones=ones)
            of_patches = torch.empty_like(patches) if needs[0] else None
            of_outputs = gradient[written].transpose(0, 1).reshape(spec.groups, spec.outputs, -1).contiguous()
            _sample_gradients(patches, of_patches, of_outputs, matrices, kernels, spec, found, work)
            if of_padded is not None and of_patches is not None:
                fold(of_patches[:, : of_patches.shape[1] - ones], of_padded[read], spec)
    return found if found.matrices is None else found._replace(matrices=found.matrices.mT.contiguous())


def _sample_gradients(
    patches: Tensor,
    of_patches: Tensor | None,
    of_outputs: Tensor,
    matrices: Tensor,
    kernels: Kernels,
    spec: AdaptiveSpec,
    found: Gradients,
    work: Workspace,
) -> None:
    """Adds what the unfolded samples contribute to ``of_patches`` and ``found``, whose matrices lie transposed."""
    prepared = kernels.prepare(matrices)
    for banks, positions, groups in _blocks(spec, patches.shape[2], patches.device.type):
        seen, values = seen_by(patches, spec, banks, positions), values_of(patches, spec, banks, positions)
        weighted = _per_bank(of_outputs[groups, :, positions], banks)[:, :, None, None]
        of = kernels.gradients(_generated(prepared, seen, banks, work), values, weighted, banks)
        if found.matrices is not None:
            found.matrices[banks].baddbmm_(seen, of.z.mT)
        for whole, part in ((found.gain, of.gain), (found.scale, of.scale)):
            if whole is not None and part is not None:
                whole[banks] += part
        if of_patches is not None:
            # No two blocks see the same part of the patches, so nothing is there yet.
            seen_by(of_patches, spec, banks, positions).baddbmm_(matrices[banks].mT, of.z, beta=0)
            add_values(of_patches, of.values, spec, banks, positions)


def _generated(matrices: Tensor, seen: Tensor, banks: slice, work: Workspace) -> Tensor:
    """What the generators of some banks say: (banks, rows, positions)."""
    part = matrices[banks]
    return torch.bmm(part, seen, out=work.take("z", len(part), part.shape[1], seen.shape[2]))


@functools.lru_cache(maxsize=256)
def _pieces(padded: tuple[int, ...], spec: AdaptiveSpec) -> tuple[tuple[Any, Any], ...]:
    """Samples, or strips of a large one, that are unfolded at a time: what is read of the input, what it gives."""
    rows, *others = spec.output_size(padded)
    row = padded[1] * math.prod(w.size for w in spec.windows) * math.prod(others)
    samples = max(1, PATCH_VALUES // (row * rows))
    strips = min(rows, -(-row * rows // PATCH_VALUES)) if samples == 1 else 1
    height, stride, whole = -(-rows // strips), spec.stride[0], slice(None)
    reach = spec.dilation[0] * (spec.windows[0].size - 1) + 1
    found = []
    for start, top in itertools.product(range(0, padded[0], samples), range(0, rows, height)):
        part, bottom = slice(start, start + samples), min(top + height, rows)
        read = slice(top * stride, (bottom - 1) * stride + reach)
        found.append(((part, whole, read), (part, whole, slice(top, bottom))))
    return tuple(found)


@functools.lru_cache(maxsize=256)
def _blocks(spec: AdaptiveSpec, positions: int, device: str) -> tuple[Block, ...]:
    """All positions of all banks; banks of one group together, or whole groups."""
    budget = CACHE_VALUES.get(device, ELSEWHERE_VALUES)
    width = min(positions, max(LEAST_POSITIONS, budget // (spec.generator_groups * spec.generator_out_channels)))
    width = -(-positions // -(-positions // width))  # blocks of equal size
    step = min(spec.generator_groups, max(1, budget // (spec.generator_out_channels * width)))
    if step >= spec.per_group:
        step -= step % spec.per_group
    else:
        step = max(n for n in range(1, step + 1) if spec.per_group % n == 0)
    found = []
    for first, start in itertools.product(range(0, spec.generator_groups, step), range(0, positions, width)):
        last = min(first + step, spec.generator_groups)
        groups = slice(first // spec.per_group, -(-last // spec.per_group))
        found.append(Block(slice(first, last), slice(start, min(start + width, positions)), groups))
    return tuple(found)


def _added_up(parts: Tensor, spec: AdaptiveSpec) -> Tensor:  # (banks, outputs, positions) -> (groups, ...)
    count = min(len(parts), spec.per_group)
    return parts if count == 1 else parts.view(-1, count, *parts.shape[1:]).sum(1)


def _per_bank(of_outputs: Tensor, banks: slice) -> Tensor:  # (groups, outputs, positions) -> (banks, ...)
    repeats = (banks.stop - banks.start) // len(of_outputs)
    if len(of_outputs) == 1:
        return of_outputs.expand(repeats, -1, -1)
    return of_outputs.repeat_interleave(repeats, 0)
