"""Convolutions with kernels computed from the input: specification, plain definition and block-by-block computation."""

from .conv import adaptive_conv as adaptive_conv
from .initial import adaptive_only_std as adaptive_only_std
from .initial import adaptive_std as adaptive_std
from .initial import gain_std as gain_std
from .initial import kernel_std as kernel_std
from .initial import linear_bound as linear_bound
from .initial import similarity as similarity
from .plain import adaptive_kernels as adaptive_kernels
from .plain import generator_view as generator_view
from .plain import plain_adaptive_conv as plain_adaptive_conv
from .spec import SHARINGS as SHARINGS
from .spec import SQUASHES as SQUASHES
from .spec import AdaptiveSpec as AdaptiveSpec
from .spec import Squash as Squash
from .spec import check_sharing as check_sharing
from .spec import check_squash as check_squash
