"""Drop-in convolutions with continuous kernels and learned sizes, or with kernels that the input decides."""

from .adaptive import AdaptiveConv1d as AdaptiveConv1d
from .adaptive import AdaptiveConv2d as AdaptiveConv2d
from .adaptive import AdaptiveConv3d as AdaptiveConv3d
from .adaptive_flex import AdaptiveFlexConv1d as AdaptiveFlexConv1d
from .adaptive_flex import AdaptiveFlexConv2d as AdaptiveFlexConv2d
from .ckconv import CKConv1d as CKConv1d
from .ckconv import CKConv2d as CKConv2d
from .ckconv import CKConv3d as CKConv3d
from .flexconv import FlexConv1d as FlexConv1d
from .flexconv import FlexConv2d as FlexConv2d
from .flexconv import FlexConv3d as FlexConv3d
from .separable import SeparableFlexConv1d as SeparableFlexConv1d
from .separable import SeparableFlexConv2d as SeparableFlexConv2d
from .separable import SeparableFlexConv3d as SeparableFlexConv3d
from .sizing import freeze_sizes as freeze_sizes
from .sizing import size_parameters as size_parameters
from .sizing import sizes as sizes
from .sizing import unfreeze_sizes as unfreeze_sizes
