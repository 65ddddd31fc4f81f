"""All layer families have the attributes of nn.ConvNd, with the same values."""

import pytest
import torch
from torch import nn

import flexkern

NAMES = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
)
FAMILIES = ("FlexConv", "CKConv", "SeparableFlexConv", "AdaptiveConv", "AdaptiveFlexConv")
TORCH = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
OPTIONS = {
    "defaults": {},
    "integers": {"stride": 2, "padding": 1, "dilation": 2},
    "same": {"padding": "same"},
    "valid": {"padding": "valid", "stride": 2},
    "no_bias": {"bias": False},
    "circular": {"padding": 2, "padding_mode": "circular"},
    "grouped": {"groups": 2},
}


def layers():
    parameters = []
    for family in FAMILIES:
        for dims, reference in TORCH.items():
            cls = getattr(flexkern, f"{family}{dims}d", None)
            if cls is not None:
                parameters.append(pytest.param(cls, reference, dims, id=f"{family}{dims}d"))
    return parameters


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
@pytest.mark.parametrize(("cls", "reference", "dims"), layers())
def test_attributes_equal_those_of_torch(cls, reference, dims, options):
    if "groups" in options and cls.__name__.startswith(("Separable", "AdaptiveFlex")):
        pytest.skip("refuses groups")
    expected = reference(2, 4, 5, **options)
    layer = cls(2, 4, 5, **options)
    assert {name: getattr(layer, name) for name in NAMES} == {name: getattr(expected, name) for name in NAMES}
    assert (layer.bias is None) == (expected.bias is None)
    if layer.bias is not None:
        assert layer.bias.shape == expected.bias.shape


@pytest.mark.parametrize(("cls", "reference", "dims"), layers())
def test_values_per_axis(cls, reference, dims):
    options = {"stride": (2, 1, 3)[:dims], "padding": (1, 0, 2)[:dims], "dilation": (1, 2, 1)[:dims]}
    kernel_size = (3, 5, 3)[:dims]
    expected = reference(2, 4, kernel_size, **options)
    layer = cls(2, 4, kernel_size, **options)
    assert {name: getattr(layer, name) for name in NAMES} == {name: getattr(expected, name) for name in NAMES}


def test_depthwise_sharing_has_one_group_per_channel():
    layer = flexkern.AdaptiveConv2d(4, 4, 3, sharing="depthwise")
    assert layer.groups == 4


def test_attributes_follow_the_resolution():
    layer = flexkern.SeparableFlexConv2d(2, 4, 5, padding=2)
    fine = flexkern.at_resolution(layer, 2.0)
    assert fine.kernel_size == (9, 9)
    assert fine.padding == (4, 4)
    assert (fine.in_channels, fine.out_channels, fine.groups) == (2, 4, 1)
    assert fine(torch.randn(1, 2, 8, 8)).shape == (1, 4, 8, 8)
