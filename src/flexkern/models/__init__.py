"""Networks of learned-size convolutions, and the same networks of ordinary ones."""

from .flexnet import FlexNet as FlexNet
from .flextcn import FlexTCN as FlexTCN
from .registry import create_model as create_model
from .registry import list_models as list_models
from .registry import model_options as model_options
