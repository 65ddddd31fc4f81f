"""What a learned size is worth beside the best of fixed ones, of equal parameters, on two data sets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from flexkern.layers import CKConv1d, CKConv2d, FlexConv1d
from flexkern.models import FlexTCN

from .digits import SIDE, DigitTrial
from .small_flexnet import DROPOUT, WIDTH, small_flexnet

STEPS = 40
SIZES = (3, 5, 7, 11, 17)
"""Fixed sizes that a learned one is set against, beside its horizon."""

FIXED: dict[str, Callable[[], nn.Module]] = {
    "learned": functools.partial(small_flexnet, horizon=SIDE + 1),
    **{f"{n}x{n}": functools.partial(small_flexnet, CKConv2d, horizon=n) for n in (*SIZES, SIDE + 1)},
}
FIXED_SIZES = DigitTrial("fixed-sizes", FIXED, [("learned", name) for name in FIXED if name != "learned"])
"""All networks have equal parameters: those of a kernel network do not depend on the size."""


def flextcn(layer: Callable[..., nn.Module] = FlexConv1d, **options: Any) -> FlexTCN:
    """The same for series of 40 steps."""
    conv = functools.partial(layer, **{"kernel_size": STEPS + 1, "causal": True, **options})
    return FlexTCN(1, 10, conv, widths=(WIDTH,) * 2, dropout=DROPOUT)


FIXED_1D: dict[str, Callable[[], nn.Module]] = {
    "learned": flextcn,
    **{f"{n} taps": functools.partial(flextcn, CKConv1d, kernel_size=n) for n in (*SIZES, STEPS + 1)},
}
FIXED_SIZES_1D = DigitTrial(
    "fixed-sizes-1d",
    FIXED_1D,
    [("learned", name) for name in FIXED_1D if name != "learned"],
    task="mnist1d",
    epochs=60,
)
"""The same on MNIST-1D, with a causal network."""
