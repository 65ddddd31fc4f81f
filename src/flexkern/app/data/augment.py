"""Random changes of a whole batch (B, C, *S) on its device, without a loop over samples.

Each sample gets an amount of its own, drawn from one generator. Positions outside a sample repeat its border,
so that augmentation is correct before and after `standardise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Augmentation = Callable[[Tensor, "Generator | None"], Tensor]


def random_shift(
    x: Tensor,
    pixels: int,
    generator: Generator | None = None,
) -> Tensor:
    """Move each sample by whole pixels, uniform in -pixels..pixels on every axis; the border is repeated.

    This equals replicate padding by `pixels`, followed by a random crop.

    Example:
        >>> random_shift(torch.ones(2, 1, 8, 8), 2).shape
        torch.Size([2, 1, 8, 8])
    """
    if pixels < 0 or pixels != int(pixels):
        raise ValueError(f"`pixels` must be a whole number, 0 or more, got {pixels}.")
    pixels = int(pixels)
    axes = range(2, x.ndim)
    offsets = _draw_integers((len(axes), len(x)), -pixels, pixels, x, generator)
    for axis in axes:
        length = x.shape[axis]
        positions = torch.arange(length, device=x.device)
        source = positions + offsets[axis - 2].unsqueeze(1)
        source = source.clamp(0, length - 1)
        x = _take(x, axis, source)
    return x


def random_flip(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Mirror each sample on its last axis (left-right for images) with probability 1/2."""
    last_axis = x.ndim - 1
    draws = _draw_integers((len(x), 1), 0, 1, x, generator)
    flipped = _broadcast_along(draws.bool(), last_axis, x.ndim)
    return torch.where(flipped, x.flip(-1), x)


def random_roll(
    x: Tensor,
    max_fraction: float,
    generator: Generator | None = None,
) -> Tensor:
    """Roll each series circularly by up to `max_fraction` of its length T, in either direction.

    The step is uniform over the whole numbers in -max_fraction * T..max_fraction * T. Meant for series of
    full length: the padding of shorter ones is rolled too.
    """
    if not 0 <= max_fraction <= 1:
        raise ValueError(f"`max_fraction` must be in [0, 1], got {max_fraction}.")
    length = x.shape[-1]
    max_step = int(max_fraction * length)
    steps = _draw_integers((len(x), 1), -max_step, max_step, x, generator)
    positions = torch.arange(length, device=x.device)
    source = (positions - steps) % length
    return _take(x, x.ndim - 1, source)


def random_scale_noise(
    x: Tensor,
    std: float,
    generator: Generator | None = None,
) -> Tensor:
    """Multiply each sample by 1 + std * n, n ~ N(0, 1): a change of loudness or contrast."""
    _check_std(std)
    device = _device_of_draws(x, generator)
    noise = torch.randn((len(x), 1), generator=generator, device=device)
    noise = _broadcast_along(noise.to(x), x.ndim - 1, x.ndim)
    return x * (1 + std * noise)


def random_noise(
    x: Tensor,
    std: float,
    generator: Generator | None = None,
) -> Tensor:
    """Add N(0, std^2) to every value, in the unit of ``x`` (standard deviations after `standardise`)."""
    _check_std(std)
    device = _device_of_draws(x, generator)
    noise = torch.randn(x.shape, generator=generator, device=device)
    return x + std * noise.to(x)


def random_rotate(
    x: Tensor,
    degrees: float,
    generator: Generator | None = None,
) -> Tensor:
    """Rotate each image (H, W) about its centre by an angle uniform in -degrees..degrees; bilinear."""
    if not 0 <= degrees <= 180:
        raise ValueError(f"`degrees` must be in [0, 180], got {degrees}.")
    max_angle = degrees * math.pi / 180
    angle = _draw_symmetric(max_angle, x, generator)
    cos = angle.cos()
    sin = angle.sin()
    ratio = x.shape[-2] / x.shape[-1]  # Positions run from -1 to 1 along both sides.
    first_row = torch.stack([cos, -sin * ratio], 1)
    second_row = torch.stack([sin / ratio, cos], 1)
    rotation = torch.stack([first_row, second_row], 1)
    return _warp(x, rotation)


def random_zoom(
    x: Tensor,
    fraction: float,
    generator: Generator | None = None,
) -> Tensor:
    """Enlarge each image about its centre by a factor uniform in 1 - fraction..1 + fraction; bilinear."""
    if not 0 <= fraction < 1:
        raise ValueError(f"`fraction` must be in [0, 1), got {fraction}.")
    factor = 1 + _draw_symmetric(fraction, x, generator)
    identity = torch.eye(2, device=x.device)
    return _warp(x, identity / factor[:, None, None])


AmountType = type[int] | type[float] | None
"""Type of the amount of an augmentation; None if it takes no amount."""
AUGMENTATIONS: dict[str, tuple[Callable[..., Tensor], AmountType]] = {
    "shift": (random_shift, int),
    "flip": (random_flip, None),
    "roll": (random_roll, float),
    "scale": (random_scale_noise, float),
    "noise": (random_noise, float),
    "rotate": (random_rotate, float),
    "zoom": (random_zoom, float),
}
"""Name -> function and the type of its amount."""


def build_augmentation(names: Sequence[str]) -> Augmentation:
    """Build one function (x, generator) -> x from names such as ["shift:2", "flip"], applied in their order.

    Raises:
        ValueError: A name is unknown, or an amount is missing, not taken, or out of range.

    Example:
        >>> augment = build_augmentation(["shift:2", "flip"])
        >>> augment(torch.rand(4, 3, 32, 32), torch.Generator().manual_seed(0)).shape
        torch.Size([4, 3, 32, 32])
    """
    steps = [_parse_step(name) for name in names]

    def augment(x: Tensor, generator: Generator | None = None) -> Tensor:
        for function, amount in steps:
            x = function(x, *amount, generator)
        return x

    # One call on zeros, so that an amount out of range is refused here and not in the first batch.
    augment(torch.zeros(1, 1, 1, 1), Generator())
    return augment


def _parse_step(text: str) -> tuple[Callable[..., Tensor], tuple[float, ...]]:
    """Return the function and its amount, an empty tuple if it takes none."""
    name, colon, amount = text.partition(":")
    if name not in AUGMENTATIONS:
        raise ValueError(f"an augmentation must be one of {', '.join(AUGMENTATIONS)}, got {text!r}.")
    function, amount_type = AUGMENTATIONS[name]
    if amount_type is None:
        if colon:
            raise ValueError(f"augmentation {name!r} takes no amount, got {text!r}.")
        return function, ()
    try:
        return function, (amount_type(amount),)
    except ValueError as error:
        raise ValueError(f"an amount is missing: write `{name}:{amount_type.__name__}`, got {text!r}.") from error


def _check_std(std: float) -> None:
    if not 0 <= std < math.inf:
        raise ValueError(f"`std` must be 0 or more and finite, got {std}.")


def _device_of_draws(x: Tensor, generator: Generator | None) -> torch.device:
    """Return the generator's device, which random numbers must be drawn on."""
    if generator is None:
        return x.device
    return generator.device


def _draw_integers(
    shape: tuple[int, ...],
    low: int,
    high: int,
    x: Tensor,
    generator: Generator | None,
) -> Tensor:
    """Draw integers uniform in low..high on the generator's device and move them to x's."""
    device = _device_of_draws(x, generator)
    draws = torch.randint(low, high + 1, shape, generator=generator, device=device)
    return draws.to(x.device)


def _draw_symmetric(
    limit: float,
    x: Tensor,
    generator: Generator | None,
) -> Tensor:
    """Draw one number per sample, uniform in -limit..limit."""
    device = _device_of_draws(x, generator)
    draws = torch.rand(len(x), generator=generator, device=device)
    symmetric = 2 * draws - 1
    return limit * symmetric.to(x)


def _warp(x: Tensor, matrices: Tensor) -> Tensor:
    """Sample images at positions multiplied by (B, 2, 2) about the centre; the border is repeated."""
    if x.ndim != 4:
        raise ValueError(f"rotation and zoom are for images (B, C, H, W), got {tuple(x.shape)}.")
    without_translation = F.pad(matrices, (0, 1))
    grid = F.affine_grid(without_translation, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _broadcast_along(values: Tensor, axis: int, ndim: int) -> Tensor:
    """View (B, L) or (B, 1) such that it broadcasts along one axis of (B, C, *S)."""
    shape = [1] * ndim
    shape[0] = len(values)
    shape[axis] = values.shape[1]
    return values.view(shape)


def _take(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """Return x[b, ..., index[b, i], ...] along one axis; index is (B, L), L the length of that axis."""
    expanded = _broadcast_along(index, axis, x.ndim).expand(x.shape)
    return x.gather(axis, expanded)
