"""Export a network of learned sizes and adaptive kernels to ONNX and run it with ONNX Runtime.

    python examples/export.py

Two steps come before the export: ``freeze_sizes`` makes the sizes constants of the graph, and ``engine="direct"``
selects torch's own convolution, which the exporter can translate. Needs ``pip install 'flexkern[export]'``.
"""

import io
import logging
import warnings
from contextlib import redirect_stdout

import onnxruntime
import torch
from torch import nn

from flexkern import AdaptiveConv2d, FlexConv2d, freeze_sizes


def export(model: nn.Module, sample: torch.Tensor) -> bytes:
    """Return the ONNX file of a model for any batch size."""
    shapes = {"input": {0: torch.export.Dim("batch", min=1, max=64)}}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it names packages that this model does not need
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, (sample,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    return program.model_proto.SerializeToString()


def main() -> None:
    """Export a small network and compare the outputs of torch and ONNX Runtime."""
    torch.manual_seed(0)
    model = nn.Sequential(
        FlexConv2d(1, 8, kernel_size=15, padding="same", init_size=7, engine="direct"),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        AdaptiveConv2d(8, 8, kernel_size=3, padding="same", sharing="depthwise"),
        nn.Conv2d(8, 4, kernel_size=1),
    )
    freeze_sizes(model.eval())
    content = export(model, torch.randn(2, 1, 20, 20))

    images = torch.randn(5, 1, 20, 20)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    (result,) = session.run(None, {name: images.numpy()})
    with torch.no_grad():
        expected = model(images)
    difference = (torch.from_numpy(result) - expected).abs().max().item()
    print(f"ONNX file: {len(content) / 1024:.0f} KiB")
    print(f"largest difference from torch on a batch of {len(images)}: {difference:.1e}")


if __name__ == "__main__":
    main()
