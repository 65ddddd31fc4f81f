"""Drop-in convolutions with continuous kernels and learned sizes, or with kernels that the input decides."""

from .adaptive import AdaptiveConv as AdaptiveConv
from .adaptive import AdaptiveConv1d as AdaptiveConv1d
from .adaptive import AdaptiveConv2d as AdaptiveConv2d
from .adaptive import AdaptiveConv3d as AdaptiveConv3d
from .adaptive_flex import AdaptiveFlexConv as AdaptiveFlexConv
from .adaptive_flex import AdaptiveFlexConv1d as AdaptiveFlexConv1d
from .adaptive_flex import AdaptiveFlexConv2d as AdaptiveFlexConv2d
from .arguments import ConvArguments as ConvArguments
from .arguments import check_extension as check_extension
from .arguments import check_input as check_input
from .arguments import per_axis as per_axis
from .base import ContinuousConv as ContinuousConv
from .ckconv import CKConv1d as CKConv1d
from .ckconv import CKConv2d as CKConv2d
from .ckconv import CKConv3d as CKConv3d
from .conv_nd import ConvNd as ConvNd
from .flexconv import FlexConv as FlexConv
from .flexconv import FlexConv1d as FlexConv1d
from .flexconv import FlexConv2d as FlexConv2d
from .flexconv import FlexConv3d as FlexConv3d
from .kernel_sampling import count_features as count_features
from .kernel_sampling import sample_weight as sample_weight
from .separable import Pointwise as Pointwise
from .separable import SeparableFlexConv1d as SeparableFlexConv1d
from .separable import SeparableFlexConv2d as SeparableFlexConv2d
from .separable import SeparableFlexConv3d as SeparableFlexConv3d
