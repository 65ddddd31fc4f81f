"""Models from and to other programs: so far, checkpoints of the authors' code."""

from .reference import load_reference_state as load_reference_state
