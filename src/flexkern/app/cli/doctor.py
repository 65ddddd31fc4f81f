"""``flexkern doctor``: versions, extras, threads, data, and a self-test of a few seconds."""

from __future__ import annotations

import argparse
import platform
import re
import time
from collections.abc import Iterator
from importlib import metadata

import torch

from .text import table, version

ABOUT = "show what is installed and test that it works"
EXAMPLES = """\
examples:
  flexkern doctor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(options: argparse.Namespace) -> int:
    """Prints the facts and the tests; 1 if a test fails."""
    facts = [
        ["flexkern", version()],
        ["python", f"{platform.python_version()} on {platform.platform()}"],
        ["torch", f"{torch.__version__}, {torch.get_num_threads()} threads"],
        ["cuda", torch.cuda.get_device_name() if torch.cuda.is_available() else "no"],
        *extras(),
        ["data", "digits and mnist1d are built in; the others are read from --data-dir"],
    ]
    print(table(["what", "found"], facts))
    rows, good = [], True
    for name, test in (("FFT engine = direct engine", engines_agree), ("FlexConv2d learns", layer_learns)):
        began = time.perf_counter()
        passed, text = test()
        good &= passed
        rows.append([name, "ok" if passed else "FAILED", text, f"{time.perf_counter() - began:.2f} s"])
    print("\n" + table(["self-test", "result", "measured", "time"], rows))
    return 0 if good else 1


def extras() -> Iterator[list[str]]:
    """For every extra of the installed package: complete, or which packages are missing."""
    try:
        needs = metadata.requires("flexkern") or []
    except metadata.PackageNotFoundError:
        needs = []
    groups: dict[str, list[str]] = {}
    for need in needs:
        if found := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", need):
            groups.setdefault(found[2], []).append(found[1])
    for extra, packages in groups.items():
        missing = [package for package in packages if not _installed(package)]
        text = f"missing {', '.join(missing)}: pip install 'flexkern[{extra}]'" if missing else "complete"
        yield [f"extra {extra}", text]


def engines_agree() -> tuple[bool, str]:
    """A 2-D convolution by both engines, in double precision."""
    from flexkern.engines import convolve

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 32, 30, dtype=torch.float64, generator=generator)
    weight = torch.randn(4, 3, 9, 12, dtype=torch.float64, generator=generator)
    padding = ((4, 4), (6, 5))
    direct, fft = (convolve(x, weight, padding=padding, engine=engine) for engine in ("direct", "fft"))
    error = float((direct - fft).abs().max() / direct.abs().max())
    return error < 1e-12, f"largest relative error {error:.1e}"


def layer_learns() -> tuple[bool, str]:
    """Builds a layer, runs it forwards and backwards, and looks for the gradient of its size."""
    from flexkern.layers import FlexConv2d
    from flexkern.windows import size_parameters

    layer = FlexConv2d(3, 8, kernel_size=33, padding="same")
    layer(torch.randn(2, 3, 32, 32)).square().mean().backward()
    gradients = [parameter.grad for parameter in size_parameters(layer)]
    good = all(grad is not None and bool(grad.isfinite().all()) and bool(grad.any()) for grad in gradients)
    return good, f"size {layer.size} of {layer.kernel_size}"


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
