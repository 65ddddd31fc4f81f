"""What a trained model is like: what it costs, how adaptive its kernels are."""

from .adaptivity import Adaptivity as Adaptivity
from .adaptivity import adaptivity as adaptivity
from .adaptivity import with_mean_kernels as with_mean_kernels
from .cost import Cost as Cost
from .cost import count_cost as count_cost
