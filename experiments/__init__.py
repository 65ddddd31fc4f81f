"""Comparisons that a paper's claims rest on, each one command and one file of results."""

from .ablation import ABLATION as ABLATION
from .adaptive_mnist import ADAPTIVE_MNIST as ADAPTIVE_MNIST
from .adaptive_settings import ADAPTIVE_SETTINGS as ADAPTIVE_SETTINGS
from .comparison import Comparison as Comparison
from .comparison import Contestant as Contestant
from .comparison import reproduce_comparison as reproduce_comparison
from .cross_resolution import CROSS_RESOLUTION as CROSS_RESOLUTION
from .cross_resolution import reproduce_cross_resolution as reproduce_cross_resolution
from .denoising import reproduce_denoising as reproduce_denoising
from .digits import reproduce_digits as reproduce_digits
from .fixed_sizes import FIXED_SIZES as FIXED_SIZES
from .fixed_sizes import FIXED_SIZES_1D as FIXED_SIZES_1D
from .kernel_fitting import reproduce_kernel_fitting as reproduce_kernel_fitting
from .mixed_scales import MIXED_SCALES as MIXED_SCALES
from .motion import reproduce_motion as reproduce_motion
from .resnet18 import RESNET18 as RESNET18
from .size_budget import reproduce_size_budget as reproduce_size_budget
from .thin_resnets import THIN_RESNETS as THIN_RESNETS
