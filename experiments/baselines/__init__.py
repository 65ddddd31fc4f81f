"""Layers of other papers to compare with, each written from its formula and tested against nested loops."""

from .condconv import CondConv2d as CondConv2d
from .dynamic_conv import DynamicConv2d as DynamicConv2d
from .dynamic_filter import DynamicFilter2d as DynamicFilter2d
from .envelope import envelope_conv1d as envelope_conv1d
from .envelope import envelope_conv2d as envelope_conv2d
from .involution import Involution2d as Involution2d
from .njet import NJetConv2d as NJetConv2d
