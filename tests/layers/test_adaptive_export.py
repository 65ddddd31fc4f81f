"""Export to ONNX: constant weights only, static and dynamic batch, and onnxruntime agrees with torch."""

import io
import itertools

import pytest
import torch
from torch import nn

from flexkern.adaptive import SHARINGS, SQUASHES
from flexkern.layers.adaptive import AdaptiveConv1d, AdaptiveConv2d, AdaptiveConv3d
from tolerances import assert_matches

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"
)  # torch's


class Together(nn.Module):
    """Several layers on one input: one export for all of them."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return tuple(layer(x) for layer in self.layers)


def exported(model, x, *, dynamic):
    """The ONNX graph, checked."""
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}} if dynamic else None
    file = io.BytesIO()
    torch.onnx.export(model.eval(), (x,), dynamo=True, dynamic_shapes=shapes, verbose=False).save(file)
    found = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(found, full_check=True)
    return found


def check(model, x, *, dynamic):
    found = exported(model, x, dynamic=dynamic)
    constant = {one.name for one in found.graph.initializer}
    convolutions = [node for node in found.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    # A generator each, and what picks the samples of a window, which like layers share.
    assert len(model.layers) < len(convolutions) <= 2 * len(model.layers)
    for node in convolutions:
        assert set(node.input[1:]) <= constant, node
    assert not {"Loop", "Scan", "If"} & {node.op_type for node in found.graph.node}
    assert not found.functions
    session = onnxruntime.InferenceSession(found.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = [x, torch.randn(5, *x.shape[1:]), torch.randn(1, *x.shape[1:])] if dynamic else [x]
    for given in inputs:
        results = session.run(None, {session.get_inputs()[0].name: given.numpy()})
        with torch.no_grad():
            expected = model(given)
        assert len(results) == len(expected)
        for result, y in zip(results, expected, strict=True):
            assert_matches(torch.from_numpy(result), y, 1e-5)


DYNAMIC = pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])


@pytest.mark.parametrize(("shift", "dynamic"), [(0, False), (1, True), (2, False), (3, True)])
def test_every_squash_and_sharing(shift, dynamic):
    """A small kernel, because exporters take seconds, and longer with every tap."""
    layers = []
    for place, squash in enumerate(SQUASHES):
        sharing = list(SHARINGS)[(place + shift) % len(SHARINGS)]
        layers.append(AdaptiveConv2d(2, 2, (1, 2), sharing=sharing, squash=squash))
    check(Together(layers), torch.randn(2, 2, 4, 5), dynamic=dynamic)


def test_the_other_options():
    options = [
        {"squash": "tanh", "normalize": True},
        {"squash": "gaussian", "normalize": True},
        {"squash": torch.atan},
        {"bias": False, "bias_generator": False},
    ]
    model = Together(AdaptiveConv2d(2, 2, (2, 1), padding="same", **given) for given in options)
    check(model, torch.randn(2, 2, 4, 5), dynamic=True)


def test_geometry():
    geometry = [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (2, 1), "stride": 2, "dilation": 2},
        {"kernel_size": (1, 2), "groups": 2, "generator_size": (2, 3)},
        {"kernel_size": 2, "padding": 1, "padding_mode": "reflect"},
    ]
    layers = [AdaptiveConv2d(**{"in_channels": 4, "out_channels": 2, **given}) for given in geometry]
    check(Together(layers), torch.randn(2, 4, 6, 7), dynamic=True)


@pytest.mark.parametrize("cls", [AdaptiveConv1d, AdaptiveConv3d])
def test_one_and_three_axes(cls):
    check(Together([cls(2, 2, 2)]), torch.randn(2, 2, *(5, 4, 3)[: cls.dims]), dynamic=True)


@pytest.mark.slow
@DYNAMIC
@pytest.mark.parametrize("squash", SQUASHES)
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_kernels_as_in_practice(kernel_size, squash, dynamic):
    layers = [
        AdaptiveConv2d(3, 4, kernel_size, padding="same", squash=squash, normalize=normalize, sharing=sharing)
        for normalize, sharing in itertools.product((False, True), ("pair", "full"))
    ]
    check(Together(layers), torch.randn(2, 3, 8, 9), dynamic=dynamic)
