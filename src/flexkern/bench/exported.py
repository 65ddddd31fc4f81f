"""Models as a device runs them: exported to ONNX, executed by ONNX Runtime."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn


def exported_call(model: nn.Module, sample: Tensor, *, threads: int = 1) -> Callable[[], Any]:
    """``model(sample)`` as ONNX Runtime computes it, its own optimisations included.

    Raises:
        ModuleNotFoundError: without the packages of ``pip install "flexkern[export]"``.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{error.name} is missing: pip install "flexkern[export]"') from None
    said = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
        warnings.simplefilter("ignore")  # torch's exporter speaks of packages that this needs not
        program: Any = torch.onnx.export(model.eval(), (sample,), dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {session.get_inputs()[0].name: sample.numpy()}
    return lambda: session.run(None, given)
