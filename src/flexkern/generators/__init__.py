"""Kernel generators: small networks that map a position to the value of the kernel there."""

from collections.abc import Callable

from .._support.nearest import did_you_mean
from .base import Generator as Generator
from .base import evaluate_features as evaluate_features
from .fouriernet import FourierNet as FourierNet
from .gabornet import GaborNet as GaborNet
from .magnet import MAGNet as MAGNet
from .mlp import MLP as MLP
from .multiplicative import MultiplicativeGenerator as MultiplicativeGenerator
from .points import Points as Points
from .region import Region as Region
from .siren import SIREN as SIREN
from .table import Table as Table

GENERATORS: dict[str, Callable[..., Generator]] = {
    "magnet": MAGNet,
    "gabornet": GaborNet,
    "fouriernet": FourierNet,
    "siren": SIREN,
    "mlp": MLP,
    "table": Table,
    "points": Points,
}
"""Every generator by its name."""


def get_generator(generator: str | Callable[..., Generator]) -> Callable[..., Generator]:
    """Return the factory of a generator.

    Args:
        generator: a name of :data:`GENERATORS`, or a factory such as ``MAGNet(hidden=64)``.

    Returns:
        A callable that builds the generator from (dims, channels).

    Raises:
        ValueError: for an unknown name; the message suggests the nearest.
        TypeError: if ``generator`` is neither a name nor a factory.

    Example:
        >>> get_generator("magnet").__name__
        'MAGNet'
    """
    if isinstance(generator, str):
        if generator not in GENERATORS:
            hint = did_you_mean(generator, GENERATORS)
            raise ValueError(f"unknown `generator` {generator!r}{hint} Known: {', '.join(GENERATORS)}.")
        return GENERATORS[generator]
    if isinstance(generator, Generator) or not callable(generator):
        raise TypeError(f"`generator` must be a name or a factory such as MAGNet(hidden=64), got {generator!r}.")
    return generator
