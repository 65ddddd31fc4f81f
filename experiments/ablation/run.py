"""The parts of a FlexNet on digits: one of them is exchanged at a time, everything else is equal."""

from __future__ import annotations

import argparse
import functools

from flexkern.layers import CKConv2d
from flexkern.windows import GaussianWindow

from ..common.digits import SIDE, digit_samples, digit_trial, run_digits
from ..common.options import Options
from ..common.small_flexnet import AUTHORS_MAGNET, EQUAL_POINTS, EQUAL_SIREN, small_flexnet
from ..common.trials import Maker

ABOUT = "what are the generator, the window, the initialisation and the crop of a FlexNet worth?"

BASE = "FlexNet"
HORIZON = SIDE + 1
FIXED_WINDOW = functools.partial(GaussianWindow, learn_width=False, learn_centre=False)
HARD_CROP = functools.partial(GaussianWindow, continuous=False)

NETS: dict[str, Maker] = {
    BASE: lambda: small_flexnet(horizon=HORIZON),
    "GaborNet": lambda: small_flexnet(horizon=HORIZON, generator="gabornet"),
    "FourierNet": lambda: small_flexnet(horizon=HORIZON, generator="fouriernet"),
    "SIREN": lambda: small_flexnet(horizon=HORIZON, generator=EQUAL_SIREN),
    "points": lambda: small_flexnet(horizon=HORIZON, generator=EQUAL_POINTS),
    "window as it starts": lambda: small_flexnet(horizon=HORIZON, window=FIXED_WINDOW),
    "no window": lambda: small_flexnet(CKConv2d, horizon=HORIZON),
    "authors' initialisation": lambda: small_flexnet(horizon=HORIZON, generator=AUTHORS_MAGNET),
    "hard crop": lambda: small_flexnet(horizon=HORIZON, window=HARD_CROP),
    "authors' initialisation and crop": lambda: small_flexnet(
        horizon=HORIZON,
        generator=AUTHORS_MAGNET,
        window=HARD_CROP,
    ),
}
TRIAL = digit_trial(NETS, [(BASE, name) for name in NETS if name != BASE])
OPTIONS = Options("ablation", tuple(NETS))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, compare them, and print a table."""
    settings = OPTIONS.read(options)
    return run_digits(TRIAL, digit_samples(settings.data_dir), settings)
