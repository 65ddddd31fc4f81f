"""The figure of a finished run."""

from __future__ import annotations

import logging
from pathlib import Path

from flexkern.windows import sizes

from ..training.folder import RunFolder
from ..training.weights import load_weights
from .figures import save_figure, windows_figure

logger = logging.getLogger("flexkern.app.report")


def draw_run(path: str | Path) -> Path | None:
    """Draw the learned windows of a run into its folder.

    Returns:
        The file, or None if no size was learned or matplotlib is missing.

    Raises:
        FileNotFoundError: the folder holds no weights.
    """
    folder = RunFolder(Path(path))
    model, _ = load_weights(folder.weights)
    if not sizes(model):
        return None
    try:
        save_figure(windows_figure(model), folder.figure)
    except ImportError as error:
        logger.info("no %s: %s", folder.figure.name, error)
        return None
    return folder.figure
