"""Record exact digests of what flexkern computes, and compare two versions by them.

Usage::

    PYTHONPATH=src python tools/outputs.py write before.json
    PYTHONPATH=src python tools/outputs.py write recipes.json --recipes --data-dir data
    python tools/outputs.py compare before.json after.json

Every entry of the file is a tensor (SHA-256 of its bytes, dtype, shape, mean and norm) or plain data (as JSON). All is
computed by one thread with deterministic algorithms and the shipped constants of the engines. Digests are equal only
between versions on one machine with one version of torch, which the file states under "environment".

``compare`` lists every entry that differs or stands in one file only, and returns 1 if there is any.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

GROUPS = ("layers", "convolve", "models", "weights", "analysis")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = parse_options(arguments)
    if options.command == "compare":
        return compare(options.before, options.after, most=options.most, common=options.common)
    write(options)
    return 0


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    writer = commands.add_parser("write", help="compute everything with the flexkern that can be imported")
    writer.add_argument("file", type=Path)
    writer.add_argument("--only", choices=GROUPS, action="append", help="this group only; may be repeated")
    writer.add_argument("--recipes", action="store_true", help="train one epoch of every shipped recipe instead")
    writer.add_argument("--data-dir", type=Path, help="folder with mnist.npz and cifar10.npz, for --recipes")
    writer.add_argument("--recipe-dir", type=Path, help="the recipes of this folder instead of the shipped ones")
    writer.add_argument("--runs", type=Path, help="keep the run folders of --recipes here")
    comparer = commands.add_parser("compare", help="compare two files")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    comparer.add_argument("--most", type=int, default=50, help="differences that are listed (default 50)")
    comparer.add_argument("--common", action="store_true", help="only what both files have, after `write --only`")
    options = parser.parse_args(arguments)
    if options.command == "write" and options.recipes and options.data_dir is None:
        parser.error("`--recipes` needs `--data-dir`, the folder with mnist.npz and cifar10.npz.")
    return options


def write(options: argparse.Namespace) -> None:
    """Compute all entries and write them as JSON."""
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLEXKERN_CACHE"] = folder  # constants tuned on this machine would change the plans
        entries = describe_all(compute_entries(options, Path(folder)))
    options.file.write_text(format_file(entries), encoding="utf-8")
    print(f"{len(entries)} entries in {time.perf_counter() - start:.0f} s: {options.file}")


def format_file(entries: dict[str, Any]) -> str:
    """Return the content of a file as JSON, one entry in a line."""
    environment = json.dumps(describe_environment())
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in entries.items()]
    body = ",\n".join(lines)
    return f'{{"environment": {environment},\n"entries": {{\n{body}\n}}}}\n'


def compute_entries(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the groups that are asked for."""
    import output_cases

    if options.recipes:
        runs = folder / "runs" if options.runs is None else options.runs
        yield from output_cases.recipe_entries(options.data_dir, runs, options.recipe_dir)
        return
    functions = {
        "layers": output_cases.layer_entries,
        "convolve": output_cases.convolution_entries,
        "models": output_cases.model_entries,
        "weights": output_cases.weight_entries,
        "analysis": output_cases.analysis_entries,
    }
    for group in options.only or GROUPS:
        yield from functions[group]()


def describe_all(entries: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the descriptions of all values by name."""
    descriptions: dict[str, Any] = {}
    for name, value in entries:
        if name in descriptions:
            raise ValueError(f"two entries are called {name!r}.")
        descriptions[name] = describe(value)
    return descriptions


def describe(value: Any) -> Any:
    """Return what stands for a value in the file: digest and summary of a tensor, plain data as JSON keeps it."""
    import torch

    if not isinstance(value, torch.Tensor):
        return json.loads(json.dumps(value))
    data = value.detach().numpy().tobytes()  # in the order of the axes, whatever the memory layout
    values = value.detach().double()
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "dtype": str(value.dtype),
        "shape": list(value.shape),
        "mean": float(f"{values.mean().item():.12g}"),
        "norm": float(f"{values.norm().item():.12g}"),
    }


def describe_environment() -> dict[str, Any]:
    """Return what else decides the digests."""
    import torch

    import flexkern

    return {
        "flexkern": flexkern.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onednn_max_cpu_isa": os.environ.get("ONEDNN_MAX_CPU_ISA"),
    }


def compare(before_path: Path, after_path: Path, *, most: int, common: bool) -> int:
    """Print the differences of two files; return 1 if there are any."""
    before = json.loads(before_path.read_text(encoding="utf-8"))
    after = json.loads(after_path.read_text(encoding="utf-8"))
    for key, value in before["environment"].items():
        if key != "flexkern" and after["environment"].get(key) != value:
            print(f"note: {key} differs, {value} and {after['environment'].get(key)}: digests may differ by that alone")
    differences = list(find_differences(before["entries"], after["entries"], common=common))
    for difference in differences[:most]:
        print(difference)
    if len(differences) > most:
        print(f"... and {len(differences) - most} more")
        print_groups(differences)
    print(f"{len(differences)} differences in {len(before['entries'])} and {len(after['entries'])} entries")
    return 1 if differences else 0


def find_differences(before: dict[str, Any], after: dict[str, Any], *, common: bool) -> Iterator[str]:
    """Yield a line for every entry that differs or, unless only ``common`` ones count, is missing."""
    for name, value in before.items():
        if name not in after:
            if not common:
                yield f"{name}: only in the first file"
        elif is_different(value, after[name]):
            yield f"{name}: {format_change(value, after[name])}"
    for name in after:
        if name not in before and not common:
            yield f"{name}: only in the second file"


def is_different(before: Any, after: Any) -> bool:
    """Return whether two descriptions differ; NaN equals NaN."""
    if is_tensor(before) and is_tensor(after):
        return any(before[key] != after[key] for key in ("sha256", "dtype", "shape"))
    return json.dumps(before) != json.dumps(after)


def format_change(before: Any, after: Any) -> str:
    """Return how two descriptions differ, in short."""
    if not (is_tensor(before) and is_tensor(after)):
        return f"{shorten(before)} -> {shorten(after)}"
    for key in ("dtype", "shape"):
        if before[key] != after[key]:
            return f"{key} {before[key]} -> {after[key]}"
    changes = []
    for key in ("mean", "norm"):
        changes.append(f"{key} {before[key]:.12g} -> {after[key]:.12g}")
    return ", ".join(changes)


def is_tensor(description: Any) -> bool:
    """Return whether a description is that of a tensor."""
    return isinstance(description, dict) and "sha256" in description


def shorten(value: Any) -> str:
    """Return a value as text of one line."""
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def print_groups(differences: Sequence[str]) -> None:
    """Print how many differences there are by the beginnings of the names, such as ``layers/FlexConv2d``."""
    counts: dict[str, int] = {}
    for difference in differences:
        match = re.match(r"[^/:]*(/[^/: ]*)?", difference)
        group = match[0] if match else difference
        counts[group] = counts.get(group, 0) + 1
    for group, count in counts.items():
        print(f"  {count:6} in {group}")


if __name__ == "__main__":
    sys.exit(main())
