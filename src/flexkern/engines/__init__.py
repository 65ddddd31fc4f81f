"""How a signal and a weight are convolved: the engines, their plans and the choice between them."""

from .chooser import check_engine as check_engine
from .chooser import plan_conv as plan_conv
from .convolve import ENGINES as ENGINES
from .convolve import convolve as convolve
from .convolve import pad as pad
from .convolve import run as run
from .plan import ConvProblem as ConvProblem
from .plan import Padding as Padding
from .plan import Plan as Plan
from .weight import FactoredWeight as FactoredWeight
from .weight import Weight as Weight
from .weight import dense as dense
