"""Kernel generators of a given number of parameters, to compare how well they describe a kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch

from flexkern.generators import MLP, SIREN, FourierNet, GaborNet, Generator, MAGNet, Points, Region

LARGEST = 4096
"""Largest number of units, or points, that is tried."""

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
"""A factory of generators for a number of units, by the name of the contestant.

256 is the authors' ``input_scale`` for this task; other networks of products and of sines have three variants as well.
"""


def sized_net(
    name: str, shape: tuple[int, ...], parameters: int, families: Mapping[str, Sized] = FAMILIES
) -> Generator:
    """Return the largest network of a family with at most ``parameters`` parameters, for a grid of ``shape``.

    Raises:
        ValueError: for an unknown family, or where not even one unit fits.

    Example:
        >>> net = sized_net("SIREN", (33, 33), 1000)
        >>> net.num_features, sum(p.numel() for p in net.parameters())
        (29, 987)
    """
    if name not in families:
        raise ValueError(f"unknown contestant `{name}`; known: {', '.join(families)}.")
    family = families[name]
    fitting, largest = 0, LARGEST
    while fitting < largest:  # `fitting` units fit, more than `largest` do not
        middle = (fitting + largest + 1) // 2
        if _count_parameters(family, shape, middle) <= parameters:
            fitting = middle
        else:
            largest = middle - 1
    if not fitting:
        raise ValueError(f"`parameters` {parameters} is too few for {name}.")
    return _build(family, shape, fitting)


def _build(family: Sized, shape: tuple[int, ...], units: int) -> Generator:
    return family(units)(len(shape), 1, region=Region.whole(shape))


def _count_parameters(family: Sized, shape: tuple[int, ...], units: int) -> int:
    with torch.device("meta"):
        net = _build(family, shape, units)
    return sum(parameter.numel() for parameter in net.parameters())
