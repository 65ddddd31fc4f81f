"""Kernel generators: small networks from a position to the kernel's value there."""

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


def get_generator(generator: str | Callable[..., Generator]) -> Callable[..., Generator]:
    """The factory of a generator given by name or as a factory such as ``MAGNet(hidden=64)``.

    Raises:
        ValueError: for an unknown name; it names the nearest.
        TypeError: for anything that cannot be called with (dims, channels).
    """
    if isinstance(generator, str):
        if generator not in GENERATORS:
            hint = did_you_mean(generator, GENERATORS)
            raise ValueError(f"unknown `generator` {generator!r}{hint} Known: {', '.join(GENERATORS)}.")
        return GENERATORS[generator]
    if isinstance(generator, Generator) or not callable(generator):
        raise TypeError(f"`generator` must be a name or a factory such as MAGNet(hidden=64), got {generator!r}.")
    return generator
