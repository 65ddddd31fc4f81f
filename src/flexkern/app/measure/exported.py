"""Run models as a device does: exported to ONNX and executed by ONNX Runtime."""

from __future__ import annotations

import copy
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from flexkern.windows import freeze_sizes


def exported_call(model: nn.Module, sample: Tensor, *, threads: int = 1) -> Callable[[], Any]:
    """Return ``model(sample)`` as a call of ONNX Runtime, with its own optimisations and the current learned sizes.

    Raises:
        ModuleNotFoundError: without the packages of ``pip install "flexkern[export]"``.
    """
    require_export()
    import onnxruntime

    frozen = freeze_sizes(copy.deepcopy(model).eval())
    with _silenced():
        program: Any = torch.onnx.export(frozen, (sample,), dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = {session.get_inputs()[0].name: sample.numpy()}
    return lambda: session.run(None, inputs)


def require_export() -> None:
    """Check that the packages for export are installed.

    Raises:
        ModuleNotFoundError: one of them is missing.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f'{name} is missing: pip install "flexkern[export]"')


@contextmanager
def _silenced() -> Iterator[None]:
    """Suppress the exporter's progress messages and its notes about packages that are not needed here."""
    output = io.StringIO()
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(output), redirect_stderr(output):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
