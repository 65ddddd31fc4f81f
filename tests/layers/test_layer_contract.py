"""Every layer, and every way to make one, keeps the layer's contract."""

import functools

import pytest
import torch

import flexkern
from contracts.layer import LayerContract, VariantContract, embedded
from flexkern import (
    MLP,
    SIREN,
    CKConv1d,
    CKConv2d,
    CKConv3d,
    FlexConv1d,
    FlexConv2d,
    FlexConv3d,
    GaussianWindow,
    MAGNet,
    Points,
    SeparableFlexConv1d,
    SeparableFlexConv2d,
    SeparableFlexConv3d,
    Table,
)

SMALL = functools.partial(MAGNet, hidden=4, layers=2)


class FixedSize(LayerContract):
    learns_size = False


class FixedSizeVariant(VariantContract):
    learns_size = False


class Separable(LayerContract):
    takes_groups = False

    def conv(self, layer):
        return layer.depthwise

    def dense_weight(self, layer):
        depthwise = embedded(layer.depthwise.weight, layer.depthwise)[:, 0]  # (in, *K)
        mixing = layer.pointwise.weight.flatten(1)  # (out, in)
        return torch.einsum("oi,i...->oi...", mixing, depthwise), 1


class TestCKConv1d(FixedSize):
    few = True
    cls, dims, options = CKConv1d, 1, {"generator": SMALL}


class TestCKConv2d(FixedSize):
    cls, dims, options = CKConv2d, 2, {"generator": SIREN(hidden=4)}


class TestCKConv3d(FixedSize):
    few = True
    cls, dims, options = CKConv3d, 3, {"generator": SMALL}


class TestFlexConv1d(LayerContract):
    cls, dims, options = FlexConv1d, 1, {"generator": SMALL}


class TestFlexConv2d(LayerContract):
    cls, dims, options = FlexConv2d, 2, {"generator": SMALL}


class TestFlexConv3d(LayerContract):
    cls, dims, options = FlexConv3d, 3, {"generator": SMALL}


class TestSeparableFlexConv1d(Separable):
    few = True
    cls, dims, options = SeparableFlexConv1d, 1, {"generator": SMALL}


class TestSeparableFlexConv2d(Separable):
    cls, dims, options = SeparableFlexConv2d, 2, {"generator": SMALL}


class TestSeparableFlexConv3d(Separable):
    few = True
    cls, dims, options = SeparableFlexConv3d, 3, {"generator": SMALL}


class TestCausalCKConv1d(FixedSize):
    few = True
    cls, dims, options = CKConv1d, 1, {"generator": SIREN(hidden=4), "causal": True}


class TestCausalFlexConv1d(LayerContract):
    cls, dims, options = FlexConv1d, 1, {"generator": SMALL, "causal": True}


class TestCausalSeparableFlexConv1d(Separable):
    few = True
    cls, dims, options = SeparableFlexConv1d, 1, {"generator": SMALL, "causal": True}


class TestDepthwiseFlexConv2d(VariantContract):
    cls, dims, options, channels = FlexConv2d, 2, {"generator": SMALL, "groups": 4}, (4, 4)


class TestWindowPerChannel(VariantContract):
    cls, dims, options = FlexConv2d, 2, {"generator": SMALL, "window": GaussianWindow(per_channel=True)}


class TestPaperWindow(VariantContract):
    cls, dims, options = FlexConv2d, 2, {"generator": SMALL, "window": GaussianWindow(continuous=False)}


class TestCausalPaperWindow(VariantContract):
    cls, dims, options = FlexConv1d, 1, {"generator": SMALL, "window": GaussianWindow(continuous=False), "causal": True}


class TestCausalWindowPerChannel(VariantContract):
    cls, dims, options = (
        FlexConv1d,
        1,
        {"generator": SMALL, "window": GaussianWindow(per_channel=True), "causal": True},
    )


class TestFixedCentreAndOneLearnedAxis(VariantContract):
    cls, dims, options = (
        FlexConv2d,
        2,
        {"generator": SMALL, "window": GaussianWindow(learn_centre=False, learn_width=(True, False))},
    )

    def test_gradcheck(self):
        """Here a difference quotient is not the gradient: that of the fixed axis is zero by request."""
        layer = self.make()
        layer(self.input(layer)).square().sum().backward()
        learned, fixed = layer.window.log_width.grad.tolist()
        assert learned != 0.0
        assert fixed == 0.0
        assert not isinstance(layer.window.centre, torch.nn.Parameter)


class TestFlexTable(VariantContract):
    cls, dims, options = FlexConv2d, 2, {"generator": "table"}


class TestCoarseTablePerChannel(VariantContract):
    cls, dims, options = FlexConv1d, 1, {"generator": Table(size=(3,)), "window": GaussianWindow(per_channel=True)}


class TestTableIsAnOrdinaryConvolution(FixedSizeVariant):
    cls, dims, options = CKConv2d, 2, {"generator": "table"}


class TestFlexPoints(VariantContract):
    cls, dims, options = FlexConv2d, 2, {"generator": Points(points=4)}


class TestCausalPoints(FixedSizeVariant):
    cls, dims, options = CKConv1d, 1, {"generator": Points(points=4), "causal": True}


class TestNormedMLP(VariantContract):
    cls, dims, options = FlexConv2d, 2, {"generator": MLP(hidden=4, norm=True, fourier=3, activation="gelu")}


def test_every_public_layer_has_a_contract():
    def subclasses(cls):
        return {cls} | {s for child in cls.__subclasses__() for s in subclasses(child)}

    tested = {cls.cls for cls in subclasses(LayerContract) if hasattr(cls, "cls")}
    public = {v for k, v in vars(flexkern).items() if k.startswith(("CKConv", "FlexConv", "SeparableFlexConv"))}
    assert len(public) == 9
    assert tested == public


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_default_generator_is_a_magnet(dims):
    layer = getattr(flexkern, f"FlexConv{dims}d")(1, 2, 5)
    assert isinstance(layer.generator, MAGNet)
    assert layer.generator.num_features == 32
