"""Measurements of a trained model: its cost, how adaptive its kernels are, their frequencies, other resolutions."""

from .adaptivity import Adaptivity as Adaptivity
from .adaptivity import adaptivity as adaptivity
from .cost import Cost as Cost
from .cost import count_cost as count_cost
from .frequencies import LayerFrequencies as LayerFrequencies
from .frequencies import alias_report as alias_report
from .mean_kernels import inputs_of as inputs_of
from .mean_kernels import with_mean_kernels as with_mean_kernels
from .resolution import at_resolution as at_resolution
from .resolution import refresh_norms as refresh_norms
from .spectrum import energy_above_nyquist as energy_above_nyquist
