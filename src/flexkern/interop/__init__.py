"""Models in and out: so far, the authors' checkpoints in."""

from .reference import load_reference_state as load_reference_state
