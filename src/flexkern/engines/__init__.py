"""Convolution of a signal with a weight: the engines, their plans and the choice between them."""

from .choice import ENGINES as ENGINES
from .choice import cache_path as cache_path
from .choice import check_engine as check_engine
from .choice import costs_origin as costs_origin
from .choice import plan_conv as plan_conv
from .choice import plan_shapes as plan_shapes
from .choice import save_costs as save_costs
from .choice import tune as tune
from .convolve import convolve as convolve
from .convolve import pad as pad
from .convolve import prepare as prepare
from .convolve import run as run
from .convolve import spectrum_key as spectrum_key
from .direct import lies_channels_last as lies_channels_last
from .plan import ConvProblem as ConvProblem
from .plan import Padding as Padding
from .plan import PassPlan as PassPlan
from .plan import Plan as Plan
from .spectral import Spectrum as Spectrum
from .weight import FactoredWeight as FactoredWeight
from .weight import Weight as Weight
from .weight import check_finite as check_finite
from .weight import dense as dense
from .weight import factors as factors
