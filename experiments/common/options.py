"""``flexkern reproduce``: the comparisons behind the published results."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

from flexkern.app.cli.text import table

ABOUT = "run a comparison again, whole or in parts, and write its results"
EXAMPLES = """\
examples:
  flexkern reproduce adaptive-mnist --data-dir ~/data/mnist                    everything: hours
  flexkern reproduce adaptive-mnist --data-dir D --only adaptive --seeds 0     one run
  flexkern reproduce thin-resnets --data-dir ~/data/cifar10                    everything: hours
  flexkern reproduce motion --data-dir ~/data/kodak                            a folder of images; half an hour or so
  flexkern reproduce denoising --data-dir ~/data/kodak                         the same images; an hour
  flexkern reproduce mixed-scales --data-dir ~/data/mnist                      some twenty minutes
  flexkern reproduce adaptive-settings --data-dir ~/data/mnist                 three quarters of an hour
  flexkern reproduce resnet18 --data-dir ~/data/cifar10                        ResNet-18: hours on a GPU
  flexkern reproduce ablation --data-dir ~/data/mnist                          FlexNet, one part exchanged at a time
  flexkern reproduce fixed-sizes --data-dir ~/data/mnist                       a learned size against fixed ones
  flexkern reproduce fixed-sizes-1d                                            the same on MNIST-1D (needs no data)
  flexkern reproduce size-budget --data-dir ~/data/mnist                       accuracy against the cost of sizes
  flexkern reproduce kernel-fitting --data-dir ~/data/kodak                    a folder of images; hours
  flexkern reproduce cross-resolution --data-dir ~/data/mnist                  14 to 28 pixels: hours
  flexkern reproduce cross-resolution-cifar10 --data-dir ~/data/cifar10        16 to 32 pixels: hours
adaptive-mnist, thin-resnets, resnet18, size-budget, kernel-fitting, denoising and cross-resolution continue when they
are run again: what the file of results holds is not repeated.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The comparison, and which part of it."""
    parser.add_argument("name", metavar="NAME", choices=list(_RUNS), help=" or ".join(_RUNS))
    parser.add_argument("--only", default="", metavar="A,B", help="contestants, by default all")
    parser.add_argument("--seeds", metavar="S,S", help="seeds (0,1,2; motion and denoising: 0,1,2,3,4)")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipes' (for a try)")
    parser.add_argument("--threads", type=int, default=1, metavar="T", help="threads per run (1)")
    parser.add_argument("--data-dir", metavar="D", help="folder with local copies of the data")
    parser.add_argument("--out", metavar="FILE", help="results (results/NAME.json)")


def run(options: argparse.Namespace) -> int:
    """Trains what is missing, measures, prints a table."""
    import torch

    try:
        seeds = [int(seed) for seed in options.seeds.split(",")] if options.seeds else None
    except ValueError:
        raise ValueError(f"`--seeds` must be whole numbers such as 0,1,2, got {options.seeds!r}.") from None
    for name in ("threads", "epochs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"`--{name}` must be positive, got {value}.")
    torch.set_num_threads(options.threads)
    out = Path(options.out) if options.out else Path("results") / f"{options.name}.json"
    _check_out(options, out)
    stated = {"only": [name for name in options.only.split(",") if name], "say": _say}
    _RUNS[options.name](options, out, stated | ({"seeds": seeds} if seeds else {}))
    print(f"written to {out}")
    return 0


def _comparison(options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    from . import ADAPTIVE_MNIST, RESNET18, THIN_RESNETS, reproduce_comparison

    comparison = {one.name: one for one in (ADAPTIVE_MNIST, THIN_RESNETS, RESNET18)}[options.name]
    given = {"data.dir": options.data_dir, "epochs": options.epochs, "threads": options.threads}
    changes = {key: value for key, value in given.items() if value is not None}
    result = reproduce_comparison(comparison, out, changes=changes, **stated)
    print(table(["contestant", "accuracy %", "seeds", "parameters", "MACs", "ms"], _rows(result)))


def _motion(options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    from . import reproduce_motion

    _need_data(options, "a folder of images")
    _trial(reproduce_motion, options, out, stated)


def _denoising(options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    from . import reproduce_denoising

    _need_data(options, "a folder of images")
    _trial(reproduce_denoising, options, out, stated)


def _digits(options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    from . import ABLATION, ADAPTIVE_SETTINGS, FIXED_SIZES, FIXED_SIZES_1D, MIXED_SCALES, reproduce_digits

    trials = (ABLATION, ADAPTIVE_SETTINGS, FIXED_SIZES, FIXED_SIZES_1D, MIXED_SCALES)
    trial = {one.name: one for one in trials}[options.name]
    _trial(functools.partial(reproduce_digits, trial), options, out, stated)


def _kernel_fitting(options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    from . import reproduce_kernel_fitting

    _need_data(options, "a folder of images")
    if options.epochs:
        raise ValueError("kernel-fitting has no epochs; `flexkern fit-kernel` takes `--steps`.")
    result = reproduce_kernel_fitting(out, options.data_dir, **stated)
    rows = [
        [row["target"], row["network"], f"{row['psnr_mean']:.1f} dB", f"{row['parameters']:,}"]
        for row in result["rows"]
    ]
    print(table(["target", "network", "PSNR", "parameters"], rows))


def _cross_resolution(options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    from . import reproduce_cross_resolution

    _need_data(options, "where the data are")
    result = reproduce_cross_resolution(options.name, out, options.data_dir, epochs=options.epochs, **stated)
    keys = ("source", "out_of_box", "enlarged", "tuned")
    rows = [[name, *(f"{100 * net[f'{key}_mean']:.2f}" for key in keys)] for name, net in result["nets"].items()]
    print(table(["network", "half, %", "whole, out of the box", "ordinary kernels enlarged", "fine-tuned"], rows))


def _need_data(options: argparse.Namespace, what: str) -> None:
    if not options.data_dir:
        raise ValueError(f"{options.name} needs `--data-dir`, {what}.")


def _size_budget(options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    from flexkern.app.report.figures import check_figure, save_figure

    from . import reproduce_size_budget
    from .size_budget_figure import budgets_figure

    check_figure(out.with_suffix(".png"))
    epochs = {"epochs": options.epochs} if options.epochs else {}
    result = reproduce_size_budget(out, options.data_dir, **epochs, **stated)
    rows = [
        [
            "none" if one["budget"] is None else f"{one['budget'] / 1e6:g} M",
            f"{one['macs_mean'] / 1e6:.1f} M",
            f"{100 * one['test_mean']:.2f}",
        ]
        for one in result["budgets"]
    ]
    print(table(["budget", "products", "accuracy %"], rows))
    save_figure(budgets_figure(result["budgets"]), out.with_suffix(".png"))


def _check_out(options: argparse.Namespace, out: Path) -> None:
    """A part, or a try, must not stand for the whole, nor keep the whole from going on."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give `--out` a file.")
    parts = options.name not in _CONTINUED and (options.only or options.seeds)
    seeds = options.name in ("kernel-fitting", "denoising") and options.seeds  # one list for all of the file
    if (parts or seeds or options.epochs) and not options.out:
        raise ValueError(f"a part of {options.name}, or a try, would take the place of {out}: give `--out`.")


def _trial(reproduce: Any, options: argparse.Namespace, out: Path, stated: dict[str, Any]) -> None:
    """Networks on one task: a row each, then who is better than whom."""
    epochs = {"epochs": options.epochs} if options.epochs else {}
    result = reproduce(out, options.data_dir, **epochs, **stated)
    times, unit, gained = (1, "dB", "dB") if result.get("unit") == "dB" else (100, "accuracy %", "points")
    rows = [
        [name, f"{times * net['test_mean']:.2f}", f"{net['parameters']:,}", _microseconds(net)]
        for name, net in result["nets"].items()
    ]
    print(table(["network", unit, "parameters", "one sample"], rows))
    for name, found in result["comparisons"].items():
        print(f"{name}: {times * found['gain']:+.2f} {gained} over {found['rival']} (p = {found['p']:.3f})")


def _microseconds(net: dict) -> str:
    found, where = (net["latency"], "ONNX Runtime") if net["latency"] else (net["latency_torch"], "torch")
    return f"{1e6 * found:.0f} us, {where}"


_CONTINUED = {
    *("adaptive-mnist", "thin-resnets", "resnet18", "size-budget", "kernel-fitting", "denoising"),
    *("cross-resolution", "cross-resolution-cifar10"),
}
"""Comparisons that add to a file of results what it does not hold."""
_RUNS = {
    "adaptive-mnist": _comparison,
    "thin-resnets": _comparison,
    "resnet18": _comparison,
    "motion": _motion,
    "denoising": _denoising,
    "mixed-scales": _digits,
    "adaptive-settings": _digits,
    "ablation": _digits,
    "fixed-sizes": _digits,
    "fixed-sizes-1d": _digits,
    "size-budget": _size_budget,
    "kernel-fitting": _kernel_fitting,
    "cross-resolution": _cross_resolution,
    "cross-resolution-cifar10": _cross_resolution,
}


def _rows(result: dict) -> list[list[str]]:
    rows = []
    for name, entry in result["contestants"].items():
        accuracy = f"{100 * entry['accuracy_mean']:.2f}"
        if entry["accuracy_sd"] is not None:
            accuracy += f" +- {100 * entry['accuracy_sd']:.2f}"
        counts = [f"{entry[key]:,}" for key in ("parameters", "macs")]
        rows.append([name, accuracy, str(len(entry["runs"])), *counts, f"{1e3 * entry['latency']:.2f}"])
    return rows


def _say(text: str) -> None:
    print(text, flush=True)
