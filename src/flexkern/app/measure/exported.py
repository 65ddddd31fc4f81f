"""Models as a device runs them: exported to ONNX, executed by ONNX Runtime."""

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
    """``model(sample)`` as ONNX Runtime computes it, its own optimisations included; learned sizes as they are now.

    Raises:
        ModuleNotFoundError: without the packages of ``pip install "flexkern[export]"``.
    """
    require_export()
    import onnxruntime

    frozen = freeze_sizes(copy.deepcopy(model).eval())
    with _quiet():
        program: Any = torch.onnx.export(frozen, (sample,), dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {session.get_inputs()[0].name: sample.numpy()}
    return lambda: session.run(None, given)


def require_export() -> None:
    """Refuses to go on without the packages that export needs.

    Raises:
        ModuleNotFoundError: one of them is missing.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f'{name} is missing: pip install "flexkern[export]"')


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says of its progress and of packages that this needs not."""
    said, level = io.StringIO(), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
