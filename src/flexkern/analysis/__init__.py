"""What a trained model is like: what it costs, how adaptive its kernels are, which frequencies they hold; and what it
is at another resolution."""

from .adaptivity import Adaptivity as Adaptivity
from .adaptivity import adaptivity as adaptivity
from .alias import LayerFrequencies as LayerFrequencies
from .alias import alias_penalty as alias_penalty
from .alias import alias_report as alias_report
from .budget import expected_macs as expected_macs
from .budget import output_positions as output_positions
from .budget import size_budget as size_budget
from .cost import Cost as Cost
from .cost import count_cost as count_cost
from .fitting import Fit as Fit
from .fitting import fit_kernel as fit_kernel
from .mean_kernels import with_mean_kernels as with_mean_kernels
from .resolution import at_resolution as at_resolution
from .resolution import refresh_norms as refresh_norms
from .spectrum import energy_above_nyquist as energy_above_nyquist
