"""Options of adaptive convolutions: errors that name the argument and what would be right."""

from torch import nn

from ..functional.adaptive import SHARINGS, SQUASHES, Squash
from ..nearest import did_you_mean


def check_sharing(sharing: str, in_channels: int, out_channels: int, groups: int) -> int:
    """The number of groups: as given, or one per channel."""
    if sharing not in SHARINGS:
        known = ", ".join(SHARINGS)
        raise ValueError(f"unknown `sharing` {sharing!r}{did_you_mean(sharing, SHARINGS)} Known: {known}.")
    if sharing != "depthwise":
        return groups
    if out_channels != in_channels or groups not in (1, in_channels):
        raise ValueError(
            "`sharing='depthwise'` gives one output per input channel: `out_channels` must equal `in_channels` and "
            f"`groups` be left out, got {in_channels} -> {out_channels}, groups={groups}. "
            "Let a 1x1 convolution follow to mix channels."
        )
    return in_channels


def check_squash(squash: Squash) -> Squash:
    """The squash, if it is a known name or a function without state."""
    if isinstance(squash, str):
        if squash not in SQUASHES:
            known = ", ".join(SQUASHES)
            raise ValueError(f"unknown `squash` {squash!r}{did_you_mean(squash, SQUASHES)} Known: {known}.")
        return squash
    if not callable(squash):
        raise ValueError(f"`squash` must be a name or a function of one tensor, got {squash!r}.")
    if isinstance(squash, nn.Module) and squash.state_dict():
        raise ValueError("`squash` must be a function without parameters: they would not be trained.")
    return squash
