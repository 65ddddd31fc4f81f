"""What FlexNet's parts are worth on digits: one part exchanged at a time, all else equal."""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import nn

from flexkern.layers import CKConv2d
from flexkern.windows import GaussianWindow

from .digits import SIDE, DigitTrial
from .small_flexnet import AUTHORS_MAGNET, EQUAL_POINTS, EQUAL_SIREN, small_flexnet

BASE = "FlexNet"
_net = functools.partial(functools.partial, small_flexnet, horizon=SIDE + 1)
_window = functools.partial(functools.partial, GaussianWindow)

PARTS: dict[str, Callable[[], nn.Module]] = {
    BASE: _net(),
    "GaborNet": _net(generator="gabornet"),
    "FourierNet": _net(generator="fouriernet"),
    "SIREN": _net(generator=EQUAL_SIREN),
    "points": _net(generator=EQUAL_POINTS),
    "window as it starts": _net(window=_window(learn_width=False, learn_centre=False)),
    "no window": _net(layer=CKConv2d),
    "authors' initialisation": _net(generator=AUTHORS_MAGNET),
    "hard crop": _net(window=_window(continuous=False)),
    "authors' initialisation and crop": _net(generator=AUTHORS_MAGNET, window=_window(continuous=False)),
}
ABLATION = DigitTrial("ablation", PARTS, [(BASE, name) for name in PARTS if name != BASE])
