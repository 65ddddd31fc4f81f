"""Ways to describe a kernel, each brought to a given number of parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch

from flexkern.generators import MLP, SIREN, FourierNet, GaborNet, Generator, MAGNet, Points, Region

LARGEST = 4096
"""Units, or points, that are tried."""


Sized = Callable[[int], Callable[..., Generator]]

FAMILIES: dict[str, Sized] = {
    "MAGNet": lambda units: functools.partial(MAGNet, hidden=units),
    "MAGNet 1 layer": lambda units: functools.partial(MAGNet, hidden=units, layers=1),
    "MAGNet 256": lambda units: functools.partial(MAGNet, hidden=units, input_scale=256.0),
    "GaborNet": lambda units: functools.partial(GaborNet, hidden=units),
    "GaborNet 1 layer": lambda units: functools.partial(GaborNet, hidden=units, layers=1),
    "FourierNet": lambda units: functools.partial(FourierNet, hidden=units),
    "FourierNet 1 layer": lambda units: functools.partial(FourierNet, hidden=units, layers=1),
    "SIREN": lambda units: functools.partial(SIREN, hidden=units),
    "SIREN 60": lambda units: functools.partial(SIREN, hidden=units, omega=60.0),
    "SIREN 4 layers": lambda units: functools.partial(SIREN, hidden=units, layers=4),
    "MLP": lambda units: functools.partial(MLP, hidden=units),
    "MLP Fourier": lambda units: functools.partial(MLP, hidden=units, fourier=units),
    "points": lambda units: functools.partial(Points, points=units, spread=0.5),
}
"""Names of the contestants: a factory of generators for a number of units.

256 is the authors' ``input_scale`` for this task; other networks of products and of sines have three variants as well.
"""


def sized_net(
    name: str, shape: tuple[int, ...], parameters: int, families: Mapping[str, Sized] = FAMILIES
) -> Generator:
    """The largest network of a family with at most so many parameters, for a kernel on a grid of ``shape``.

    Raises:
        ValueError: for an unknown family, or where not even one unit fits.

    Example:
        >>> net = sized_net("SIREN", (33, 33), 1000)
        >>> net.num_features, sum(p.numel() for p in net.parameters())
        (29, 987)
    """
    if name not in families:
        raise ValueError(f"unknown contestant `{name}`; known: {', '.join(families)}.")
    low, high = 0, LARGEST  # `low` units fit, more than `high` do not
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _count(families[name], shape, middle) <= parameters else (low, middle - 1)
    if not low:
        raise ValueError(f"`parameters` {parameters} is too few for {name}.")
    return _make(families[name], shape, low)


def _make(family: Sized, shape: tuple[int, ...], units: int) -> Generator:
    return family(units)(len(shape), 1, region=Region.whole(shape))


def _count(family: Sized, shape: tuple[int, ...], units: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _make(family, shape, units).parameters())
