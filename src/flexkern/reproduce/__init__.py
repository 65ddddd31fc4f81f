"""Comparisons that a paper's claims rest on, each one command and one file of results."""

from .adaptive_mnist import CONTESTANTS as CONTESTANTS
from .adaptive_mnist import reproduce_adaptive_mnist as reproduce_adaptive_mnist
from .motion import reproduce_motion as reproduce_motion
