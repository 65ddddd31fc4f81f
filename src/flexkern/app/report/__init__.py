"""Figures of what was learned. They read models and records, and never train; needs the `report` extra."""

from .figures import save_figure as save_figure
from .figures import windows_figure as windows_figure
from .run import draw_run as draw_run
