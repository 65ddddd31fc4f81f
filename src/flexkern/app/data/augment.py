"""Random changes of a whole batch (B, C, *S) on its device: no loop over samples, draws from one generator.

Each sample gets an amount of its own. What moves in repeats the border, so it is right before `standardise` and after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Augmentation = Callable[[Tensor, "Generator | None"], Tensor]


def random_shift(x: Tensor, pixels: int, generator: Generator | None = None) -> Tensor:
    """Moves each sample by whole pixels, uniform in -pixels..pixels on every axis; the border is repeated.

    The same as replicate padding by `pixels` and cropping at random.

    Example:
        >>> random_shift(torch.ones(2, 1, 8, 8), 2).shape
        torch.Size([2, 1, 8, 8])
    """
    if pixels < 0 or pixels != int(pixels):
        raise ValueError(f"`pixels` must be a whole number, 0 or more, got {pixels}.")
    axes = x.ndim - 2
    offsets = _whole((axes, len(x)), int(pixels), x, generator)
    for axis, offset in zip(range(2, x.ndim), offsets, strict=True):
        length = x.shape[axis]
        source = torch.arange(length, device=x.device) + offset.unsqueeze(1)
        x = _take(x, axis, source.clamp(0, length - 1))
    return x


def random_flip(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Mirrors each sample on its last axis (left-right for images) with probability 1/2."""
    flipped = _whole((len(x), 1), 1, x, generator, low=0).bool()
    return torch.where(_along(flipped, x.ndim - 1, x.ndim), x.flip(-1), x)


def random_roll(x: Tensor, max_fraction: float, generator: Generator | None = None) -> Tensor:
    """Turns each series in a circle by up to `max_fraction` of its length T, to either side.

    The step is uniform over the whole numbers in -max_fraction * T..max_fraction * T. Meant for series of
    full length: on padded ones the padding turns too.
    """
    if not 0 <= max_fraction <= 1:
        raise ValueError(f"`max_fraction` must be in [0, 1], got {max_fraction}.")
    length = x.shape[-1]
    steps = _whole((len(x), 1), int(max_fraction * length), x, generator)
    return _take(x, x.ndim - 1, (torch.arange(length, device=x.device) - steps) % length)


def random_scale_noise(x: Tensor, std: float, generator: Generator | None = None) -> Tensor:
    """Multiplies each sample by 1 + std * n, n ~ N(0, 1): a change of loudness or contrast."""
    if not 0 <= std < float("inf"):
        raise ValueError(f"`std` must be 0 or more and finite, got {std}.")
    device = x.device if generator is None else generator.device
    noise = torch.randn((len(x), 1), generator=generator, device=device).to(x)
    return x * (1 + std * _along(noise, x.ndim - 1, x.ndim))


def random_noise(x: Tensor, std: float, generator: Generator | None = None) -> Tensor:
    """Adds N(0, std^2) to every value, in the unit of ``x`` (standard deviations after `standardise`)."""
    if not 0 <= std < float("inf"):
        raise ValueError(f"`std` must be 0 or more and finite, got {std}.")
    device = x.device if generator is None else generator.device
    return x + std * torch.randn(x.shape, generator=generator, device=device).to(x)


def random_rotate(x: Tensor, degrees: float, generator: Generator | None = None) -> Tensor:
    """Turns each image (H, W) about its middle by an angle uniform in -degrees..degrees; bilinear."""
    if not 0 <= degrees <= 180:
        raise ValueError(f"`degrees` must be in [0, 180], got {degrees}.")
    angle = _uniform(degrees * math.pi / 180, x, generator)
    cos, sin = angle.cos(), angle.sin()
    ratio = x.shape[-2] / x.shape[-1]  # positions run from -1 to 1 along both sides
    return _warp(x, torch.stack([torch.stack([cos, -sin * ratio], 1), torch.stack([sin / ratio, cos], 1)], 1))


def random_zoom(x: Tensor, fraction: float, generator: Generator | None = None) -> Tensor:
    """Enlarges each image about its middle by a factor uniform in 1 - fraction..1 + fraction; bilinear."""
    if not 0 <= fraction < 1:
        raise ValueError(f"`fraction` must be in [0, 1), got {fraction}.")
    factor = 1 + _uniform(fraction, x, generator)
    return _warp(x, torch.eye(2, device=x.device) / factor[:, None, None])


# name -> (function, type of its amount; None if it takes none)
AUGMENTATIONS: dict[str, tuple[Callable[..., Tensor], type[int] | type[float] | None]] = {
    "shift": (random_shift, int),
    "flip": (random_flip, None),
    "roll": (random_roll, float),
    "scale": (random_scale_noise, float),
    "noise": (random_noise, float),
    "rotate": (random_rotate, float),
    "zoom": (random_zoom, float),
}


def build_augmentation(names: Sequence[str]) -> Augmentation:
    """One function (x, generator) -> x from names such as ["shift:2", "flip"], applied in their order.

    Raises:
        ValueError: an unknown name, an amount that is missing, not taken, or out of range.

    Example:
        >>> augment = build_augmentation(["shift:2", "flip"])
        >>> augment(torch.rand(4, 3, 32, 32), torch.Generator().manual_seed(0)).shape
        torch.Size([4, 3, 32, 32])
    """
    steps = [_parse(name) for name in names]

    def augment(x: Tensor, generator: Generator | None = None) -> Tensor:
        for function, amount in steps:
            x = function(x, *amount, generator)
        return x

    # so that an amount out of range is refused here, not in the first batch
    augment(torch.zeros(1, 1, 1, 1), Generator())
    return augment


def _parse(text: str) -> tuple[Callable[..., Tensor], tuple[float, ...]]:
    name, colon, amount = text.partition(":")
    if name not in AUGMENTATIONS:
        raise ValueError(f"an augmentation must be one of {', '.join(AUGMENTATIONS)}, got {text!r}.")
    function, kind = AUGMENTATIONS[name]
    if kind is None:
        if colon:
            raise ValueError(f"augmentation {name!r} takes no amount, got {text!r}.")
        return function, ()
    try:
        return function, (kind(amount),)
    except ValueError as error:
        raise ValueError(f"an amount is missing: write `{name}:{kind.__name__}`, got {text!r}.") from error


def _whole(
    shape: tuple[int, ...], most: int, x: Tensor, generator: Generator | None, *, low: int | None = None
) -> Tensor:
    """Whole numbers uniform in low..most (low: -most), drawn where the generator is, moved to x."""
    device = x.device if generator is None else generator.device
    start = -most if low is None else low
    return torch.randint(start, most + 1, shape, generator=generator, device=device).to(x.device)


def _uniform(most: float, x: Tensor, generator: Generator | None) -> Tensor:
    """One number per sample, uniform in -most..most."""
    device = x.device if generator is None else generator.device
    return most * (2 * torch.rand(len(x), generator=generator, device=device) - 1).to(x)


def _warp(x: Tensor, matrices: Tensor) -> Tensor:
    """Images read at positions multiplied with (B, 2, 2), about the middle; the border is repeated."""
    if x.ndim != 4:
        raise ValueError(f"rotation and zoom are for images (B, C, H, W), got {tuple(x.shape)}.")
    grid = F.affine_grid(F.pad(matrices, (0, 1)), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _along(values: Tensor, axis: int, ndim: int) -> Tensor:
    """(B, L) or (B, 1) viewed so that it broadcasts along one axis of (B, C, *S)."""
    return values.view(len(values), *(values.shape[1] if a == axis else 1 for a in range(1, ndim)))


def _take(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """x[b, ..., index[b, i], ...] along one axis; index (B, L), L the length of that axis."""
    return x.gather(axis, _along(index, axis, x.ndim).expand(x.shape))
