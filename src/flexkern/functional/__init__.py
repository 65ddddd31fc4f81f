"""Pure mathematics: tensors in, tensors out, without modules, randomness or state."""

from .bandlimit import gabor_frequency as gabor_frequency
from .bandlimit import gaussian_frequency as gaussian_frequency
from .bandlimit import nyquist as nyquist
from .bandlimit import sine_frequency as sine_frequency
from .gabor import gabor_atoms as gabor_atoms
from .gabor import gabor_envelope as gabor_envelope
from .gabor import sine_atoms as sine_atoms
from .grid import Grid as Grid
from .grid import axis_grid as axis_grid
from .grid import make_grid as make_grid
from .grid import pitch as pitch
from .grid import resample_axis as resample_axis
from .resize import resize_bandlimited as resize_bandlimited
from .variance import kernel_gain as kernel_gain
from .variance import readout_std as readout_std
from .window import continuous_window as continuous_window
from .window import crop_bounds as crop_bounds
from .window import gaussian_window as gaussian_window
from .window import radius_per_width as radius_per_width
from .window import support_radius as support_radius
from .window import window_extent as window_extent
