"""The choice of an engine for each pass: candidates, their workload and its estimated cost."""

from .candidates import ENGINES as ENGINES
from .chooser import check_engine as check_engine
from .chooser import plan_conv as plan_conv
from .chooser import plan_shapes as plan_shapes
from .cost_model import CostModel as CostModel
from .machine import cache_path as cache_path
from .machine import costs_origin as costs_origin
from .machine import load_costs as load_costs
from .machine import save_costs as save_costs
from .tuning import tune as tune
