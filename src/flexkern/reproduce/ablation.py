"""What FlexNet's parts are worth on digits: one part exchanged at a time, all else equal."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from ..generators import SIREN, MAGNet, Points
from ..layers import CKConv2d, FlexConv2d
from ..models import FlexNet
from ..windows import GaussianWindow
from .digits import SIDE, DigitTrial

WIDTH, FACTORS, DROPOUT = 12, ((1, 1), (2, 1)), 0.1
BASE = "FlexNet"
SIZES = (3, 5, 7, 11, 17, SIDE + 1)
"""Fixed sizes that a learned one is set against; the last is the horizon."""


def flexnet(layer: Callable[..., nn.Module] = FlexConv2d, **options: Any) -> FlexNet:
    """The network of all trials here; ``options`` go to its layers."""
    conv = functools.partial(layer, **{"kernel_size": SIDE + 1, "padding": "same", **options})
    return FlexNet(1, 10, conv, width=WIDTH, factors=FACTORS, dropout=DROPOUT)


def _net(layer: Callable[..., nn.Module] = FlexConv2d, **options: Any) -> Callable[[], nn.Module]:
    return functools.partial(flexnet, layer, **options)


def _window(**options: Any) -> Callable[..., GaussianWindow]:
    return functools.partial(GaussianWindow, **options)


PARTS: dict[str, Callable[[], nn.Module]] = {
    BASE: _net(),
    "GaborNet": _net(generator="gabornet"),
    "FourierNet": _net(generator="fouriernet"),
    "SIREN": _net(generator=functools.partial(SIREN, hidden=41)),
    "points": _net(generator=functools.partial(Points, points=41)),
    "window as it starts": _net(window=_window(learn_width=False, learn_centre=False)),
    "no window": _net(CKConv2d),
    "authors' initialisation": _net(generator=functools.partial(MAGNet, input_scale=25.6)),
    "hard crop": _net(window=_window(continuous=False)),
    "authors' initialisation and crop": _net(
        generator=functools.partial(MAGNet, input_scale=25.6), window=_window(continuous=False)
    ),
}
ABLATION = DigitTrial("ablation", PARTS, [(BASE, name) for name in PARTS if name != BASE])

FIXED: dict[str, Callable[[], nn.Module]] = {
    "learned": _net(),
    **{f"{size}x{size}": _net(CKConv2d, kernel_size=size) for size in SIZES},
}
FIXED_SIZES = DigitTrial("fixed-sizes", FIXED, [("learned", name) for name in FIXED if name != "learned"])
"""All networks have equal parameters: those of a kernel network do not depend on the size."""
