"""Does a shallow network with adaptive kernels beat a much deeper plain one? Thin residual networks on CIFAR-10."""

import itertools

from .comparison import Comparison, Contestant

DEPTHS = (8, 14, 20, 32)
ABOUT = {"nowhere": "plain", "stem": "adaptive stem", "everywhere": "adaptive everywhere"}
DEEP_EVERYWHERE = 8
"""Networks adaptive everywhere are trained up to this depth: they take many times as long as plain ones."""


def _contestants() -> dict[str, Contestant]:
    return {
        f"{depth} {where}": Contestant(
            "cifar10-thin-resnet", {"model.depth": depth, "model.adaptive": where}, f"depth {depth}, {about}"
        )
        for depth, (where, about) in itertools.product(DEPTHS, ABOUT.items())
        if where != "everywhere" or depth <= DEEP_EVERYWHERE
    }


THIN_RESNETS = Comparison("thin-resnets", shape=(3, 32, 32), thresholds=(0.4, 0.5, 0.6), contestants=_contestants())
