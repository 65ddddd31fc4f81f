"""Kernels that the input decides: the form, the plain definition, and blocks that never hold all kernels."""

from .conv import adaptive_conv as adaptive_conv
from .form import SHARINGS as SHARINGS
from .form import SQUASHES as SQUASHES
from .form import AdaptiveForm as AdaptiveForm
from .form import Squash as Squash
from .plain import adaptive_kernels as adaptive_kernels
from .plain import plain_adaptive_conv as plain_adaptive_conv
