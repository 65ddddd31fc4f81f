"""MNIST-1D (Greydanus & Kobak, ICML 2024, arXiv 2011.14439): made on the spot by the package `mnist1d`."""

from __future__ import annotations

import random

import numpy as np
import torch

from .digits import DIGITS
from .files import optional
from .task import Task


def read_mnist1d() -> Task:
    """The standard set: 4,000 training and 1,000 test series of (1, 40), standardised by its authors.

    Made with the package's default arguments (seed 42): no download, and its pickled copy is not read.
    The package seeds the global generators of `random` and numpy; both are put back.

    Raises:
        ImportError: mnist1d is not installed.

    Example:
        >>> read_mnist1d()
        Task('mnist1d': 4000 train + 1000 test samples of (1, 40), 10 classes)
    """
    package = optional("mnist1d.data")
    states = random.getstate(), np.random.get_state()
    try:
        made = package.make_dataset(package.get_dataset_args())
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
    x = {key: torch.from_numpy(made[key].astype(np.float32)).unsqueeze(1) for key in ("x", "x_test")}
    y = {key: torch.from_numpy(made[key].astype(np.int64)) for key in ("y", "y_test")}
    return Task("mnist1d", x["x"], y["y"], x["x_test"], y["y_test"], DIGITS)
