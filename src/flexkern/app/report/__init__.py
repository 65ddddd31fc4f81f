"""Figures of what was learned, drawn from models and records without training; needs the `report` extra."""

from .figures import save_figure as save_figure
from .figures import windows_figure as windows_figure
from .run import draw_run as draw_run
