"""Convolution by spectra: transforms, products per frequency, and tiles of long signals."""

from .passes import forward as forward
from .passes import gradients as gradients
from .passes import prepare as prepare
from .spectra import Spectrum as Spectrum
from .tiling import tile_counts as tile_counts
from .tiling import tile_problem as tile_problem
