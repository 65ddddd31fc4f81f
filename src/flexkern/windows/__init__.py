"""The window whose width is the size of a kernel, and sizes as Python integers."""

from .sizes import current_bounds as current_bounds
from .sizes import freeze_sizes as freeze_sizes
from .sizes import size_parameters as size_parameters
from .sizes import sizes as sizes
from .sizes import steps_taken as steps_taken
from .sizes import unfreeze_sizes as unfreeze_sizes
from .sizes import width_for_size as width_for_size
from .window import Bounds as Bounds
from .window import GaussianWindow as GaussianWindow
