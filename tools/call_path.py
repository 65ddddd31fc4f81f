"""Count the Python calls of a forward pass in training and how often they change file.

Usage::

    PYTHONPATH=src python tools/call_path.py
    PYTHONPATH=src python tools/call_path.py --in-channels 3

The layer is ``FlexConv2d(8, 8, 33, padding="same", engine="fft")`` in training mode, on 2 x 8 x 32 x 32 samples. The
counts, printed as JSON, are those of the events "call" of ``sys.setprofile`` whose code lies in the package
``flexkern``: calls of functions, methods, properties and lambdas, each resumption of a generator and, before
Python 3.12, comprehensions. Calls in torch are left out.

* ``calls``: number of calls; ``plain_calls``: those of functions with a name only.
* ``files``: number of different files; ``file_changes``: calls whose file is not that of the call before.

Entries: ``forward`` is the second forward pass, when plans and sizes are cached. ``after_step`` is the first forward
pass after a step of the optimiser, which reads the sizes again. ``forward_backward`` includes the backward pass.
"""

import argparse
import itertools
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

Call = tuple[str, str]
"""File and name of the code that is called."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts as JSON."""
    options = parse_options(arguments)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["FLEXKERN_CACHE"] = cache  # constants tuned on this machine would change the plan
        counts = count_passes(options.in_channels, options.out_channels, options.engine)
    print(json.dumps(counts, indent=2))
    return 0


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--in-channels", type=int, default=8)
    parser.add_argument("--out-channels", type=int, default=8)
    parser.add_argument("--engine", default="fft")
    return parser.parse_args(arguments)


def count_passes(in_channels: int, out_channels: int, engine: str) -> dict[str, Any]:
    """Return the counts of a forward pass, of one after a step, and of forward and backward."""
    import torch

    import flexkern

    torch.set_num_threads(1)
    torch.manual_seed(0)
    package = Path(flexkern.__file__).parent
    layer = flexkern.FlexConv2d(in_channels, out_channels, 33, padding="same", engine=engine)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e-7)  # too small to change the size, and with it the plan
    signal = torch.randn(2, in_channels, 32, 32)

    def forward() -> None:
        layer(signal)

    def forward_backward() -> None:
        layer(signal).sum().backward()

    forward()
    counts = {"forward": count_calls(forward, package)}
    forward_backward()
    counts["forward_backward"] = count_calls(forward_backward, package)
    optimiser.step()
    forward()
    forward_backward()
    optimiser.step()
    counts["after_step"] = count_calls(forward, package)
    layer_text = f"FlexConv2d({in_channels}, {out_channels}, 33, padding='same', engine={engine!r})"
    return {"layer": layer_text, "python": platform.python_version(), **counts}


def count_calls(function: Callable[[], None], package: Path) -> dict[str, int]:
    """Return the counts of the calls within a package while a function runs."""
    calls = record_calls(function, package)
    plain_calls = [call for call in calls if not call[1].startswith("<")]
    files = [file for file, _ in calls]
    return {
        "calls": len(calls),
        "plain_calls": len(plain_calls),
        "files": len(set(files)),
        "file_changes": count_changes(files),
    }


def record_calls(function: Callable[[], None], package: Path) -> list[Call]:
    """Return the calls within a package, in order, while a function runs."""
    prefix = str(package) + os.sep
    calls: list[Call] = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(prefix):
            calls.append((code.co_filename, code.co_name))

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def count_changes(files: Sequence[str]) -> int:
    """Return how often an entry differs from the one before."""
    return sum(before != after for before, after in itertools.pairwise(files))


if __name__ == "__main__":
    sys.exit(main())
