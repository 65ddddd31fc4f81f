"""Comparisons that a paper's claims rest on, each one command and one file of results."""

from .adaptive_mnist import ADAPTIVE_MNIST as ADAPTIVE_MNIST
from .adaptive_settings import reproduce_adaptive_settings as reproduce_adaptive_settings
from .comparison import Comparison as Comparison
from .comparison import Contestant as Contestant
from .comparison import reproduce_comparison as reproduce_comparison
from .mixed_scales import reproduce_mixed_scales as reproduce_mixed_scales
from .motion import reproduce_motion as reproduce_motion
from .resnet18 import RESNET18 as RESNET18
from .thin_resnets import THIN_RESNETS as THIN_RESNETS
