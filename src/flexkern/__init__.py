"""flexkern: PyTorch convolutions whose kernels adapt.

* Layers, with the arguments of ``torch.nn.ConvNd``: ``FlexConv1d/2d/3d`` learn their kernel size. ``CKConv1d/2d/3d``
  have continuous kernels of a fixed size. ``SeparableFlexConv1d/2d/3d`` are depthwise-separable FlexConvs.
  ``AdaptiveConv1d/2d/3d`` compute their kernels from the input. ``AdaptiveFlexConv1d/2d`` do both.
* Parts of a kernel: the generators ``MAGNet``, ``GaborNet``, ``FourierNet``, ``SIREN``, ``MLP``, ``Table`` and
  ``Points``, and the ``GaussianWindow``, whose width decides the size.
* Sizes: ``sizes(model)``, ``freeze_sizes(model)``, ``unfreeze_sizes(model)``, ``size_parameters(model)``,
  ``size_budget(model, macs, output_positions(model, shape))``.
* Frequencies: ``alias_penalty(model)``, ``alias_report(model)``. Resolution: ``at_resolution(model, scale)``,
  ``refresh_norms(model, batches)``.
* Models: ``create_model(name)``, ``list_models()``.
* Lower levels: ``flexkern.functional`` (the mathematics) and ``flexkern.engines`` (how a convolution is computed).

Importing this package needs torch alone. The application ``flexkern.app`` (data, training, reports and the command
line) needs extras: ``pip install "flexkern[train]"``.
"""

from .analysis import alias_report as alias_report
from .analysis import at_resolution as at_resolution
from .analysis import refresh_norms as refresh_norms
from .generators import GENERATORS as GENERATORS
from .generators import MLP as MLP
from .generators import SIREN as SIREN
from .generators import FourierNet as FourierNet
from .generators import GaborNet as GaborNet
from .generators import Generator as Generator
from .generators import MAGNet as MAGNet
from .generators import Points as Points
from .generators import Table as Table
from .layers import AdaptiveConv1d as AdaptiveConv1d
from .layers import AdaptiveConv2d as AdaptiveConv2d
from .layers import AdaptiveConv3d as AdaptiveConv3d
from .layers import AdaptiveFlexConv1d as AdaptiveFlexConv1d
from .layers import AdaptiveFlexConv2d as AdaptiveFlexConv2d
from .layers import CKConv1d as CKConv1d
from .layers import CKConv2d as CKConv2d
from .layers import CKConv3d as CKConv3d
from .layers import FlexConv1d as FlexConv1d
from .layers import FlexConv2d as FlexConv2d
from .layers import FlexConv3d as FlexConv3d
from .layers import SeparableFlexConv1d as SeparableFlexConv1d
from .layers import SeparableFlexConv2d as SeparableFlexConv2d
from .layers import SeparableFlexConv3d as SeparableFlexConv3d
from .models import CompactNet as CompactNet
from .models import FlexNet as FlexNet
from .models import FlexTCN as FlexTCN
from .models import create_model as create_model
from .models import list_models as list_models
from .regularisers import alias_penalty as alias_penalty
from .regularisers import output_positions as output_positions
from .regularisers import size_budget as size_budget
from .windows import GaussianWindow as GaussianWindow
from .windows import freeze_sizes as freeze_sizes
from .windows import size_parameters as size_parameters
from .windows import sizes as sizes
from .windows import unfreeze_sizes as unfreeze_sizes

__version__ = "0.1.0"
