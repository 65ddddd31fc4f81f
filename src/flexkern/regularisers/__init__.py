"""Terms added to a loss: a penalty on frequencies above Nyquist, and a budget for the cost of learned sizes."""

from .alias import alias_penalty as alias_penalty
from .alias import band_limited as band_limited
from .alias import frequency_axes as frequency_axes
from .alias import select_axes as select_axes
from .alias import window_frequency as window_frequency
from .budget import expected_macs as expected_macs
from .budget import learned_layers as learned_layers
from .budget import output_positions as output_positions
from .budget import size_budget as size_budget
