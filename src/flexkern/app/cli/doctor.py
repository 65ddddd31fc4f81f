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
    """Add no arguments."""


def run(options: argparse.Namespace) -> int:
    """Print facts and self-tests; return 1 if a test fails."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no"
    facts = [
        ["flexkern", version()],
        ["python", f"{platform.python_version()} on {platform.platform()}"],
        ["torch", f"{torch.__version__}, {torch.get_num_threads()} threads"],
        ["cuda", cuda],
        *extras(),
        ["data", "digits and mnist1d are built in; the others are read from --data-dir"],
    ]
    print(table(["what", "found"], facts))
    rows = []
    all_passed = True
    for name, test in (("FFT engine = direct engine", engines_agree), ("FlexConv2d learns", layer_learns)):
        began = time.perf_counter()
        passed, measured = test()
        seconds = time.perf_counter() - began
        rows.append([name, "ok" if passed else "FAILED", measured, f"{seconds:.2f} s"])
        all_passed &= passed
    print()
    print(table(["self-test", "result", "measured", "time"], rows))
    return 0 if all_passed else 1


def extras() -> Iterator[list[str]]:
    """Yield every extra of the installed package, and whether it is complete or which packages are missing."""
    try:
        requirements = metadata.requires("flexkern") or []
    except metadata.PackageNotFoundError:
        requirements = []
    packages_by_extra: dict[str, list[str]] = {}
    for requirement in requirements:
        match = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement)
        if match:
            packages_by_extra.setdefault(match[2], []).append(match[1])
    for extra, packages in packages_by_extra.items():
        missing = [package for package in packages if not _is_installed(package)]
        status = "complete"
        if missing:
            status = f"missing {', '.join(missing)}: pip install 'flexkern[{extra}]'"
        yield [f"extra {extra}", status]


def engines_agree() -> tuple[bool, str]:
    """Compare a 2-D convolution by both engines in double precision."""
    from flexkern.engines import convolve

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 32, 30, dtype=torch.float64, generator=generator)
    weight = torch.randn(4, 3, 9, 12, dtype=torch.float64, generator=generator)
    padding = ((4, 4), (6, 5))
    direct = convolve(x, weight, padding=padding, engine="direct")
    fft = convolve(x, weight, padding=padding, engine="fft")
    error = float((direct - fft).abs().max() / direct.abs().max())
    return error < 1e-12, f"largest relative error {error:.1e}"


def layer_learns() -> tuple[bool, str]:
    """Run a layer forward and backward, and check the gradient of its size."""
    from flexkern.layers import FlexConv2d
    from flexkern.windows import size_parameters

    layer = FlexConv2d(3, 8, kernel_size=33, padding="same")
    layer(torch.randn(2, 3, 32, 32)).square().mean().backward()
    gradients = [parameter.grad for parameter in size_parameters(layer)]
    passed = all(grad is not None and bool(grad.isfinite().all()) and bool(grad.any()) for grad in gradients)
    return passed, f"size {layer.size} of {layer.kernel_size}"


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
