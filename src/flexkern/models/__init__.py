"""Networks of learned-size and adaptive convolutions, and the same networks with ordinary convolutions."""

from .blocks import ChannelsLast as ChannelsLast
from .compact import CompactNet as CompactNet
from .compact import adaptive_net as adaptive_net
from .compact import plain_net as plain_net
from .flexnet import FlexNet as FlexNet
from .flextcn import FlexTCN as FlexTCN
from .lenet import lenet as lenet
from .registry import create_model as create_model
from .registry import list_models as list_models
from .registry import model_options as model_options
from .resnet import ResNet as ResNet
from .resnet import thin_resnet as thin_resnet
