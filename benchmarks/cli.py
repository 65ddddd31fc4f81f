"""``flexkern bench``: how fast convolutions and training steps are here, beside other libraries."""

from __future__ import annotations

import argparse
from pathlib import Path

from flexkern.app.cli.text import Parser

ABOUT = "measure convolutions, training steps and adaptive convolutions against other implementations"
EXAMPLES = """\
examples:
  flexkern bench conv                              a dozen convolutions, about a minute
  flexkern bench conv --only auto,direct,torch     some contestants
  flexkern bench conv --subset full --minutes 20   the whole grid in parts: run again to continue
  flexkern bench step --skip-slow                  training steps of FlexNet-7 and FlexTCN-4
  flexkern bench adaptive                          adaptive convolutions against plain torch, two minutes
"""
RESULTS = Path("benchmarks", "results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``conv``, ``step`` or ``adaptive``, each with its options."""
    kinds = parser.add_subparsers(dest="kind", metavar="conv|step|adaptive", required=True, parser_class=Parser)
    conv = kinds.add_parser("conv", description="Measure single convolutions.", help="single convolutions")
    conv.add_argument("--subset", default="quick", metavar="S", help="quick (default), full, claims or growth")
    conv.add_argument("--only", default="", metavar="A,B", help="contestants, by default all: auto,torch,...")
    conv.add_argument("--every", type=int, default=1, metavar="N", help="a sample: every Nth point")
    conv.add_argument("--minutes", type=float, metavar="M", help="begin no new point after M minutes")
    step = kinds.add_parser("step", description="Measure whole training steps.", help="whole training steps")
    step.add_argument("--skip-slow", action="store_true", help="leave out what takes minutes per step")
    adaptive = kinds.add_parser(
        "adaptive", description="Measure adaptive convolutions.", help="kernels that the input decides"
    )
    adaptive.add_argument("--subset", default="claims", metavar="S", help="claims (default) or full")
    adaptive.add_argument("--only", default="", metavar="A,B", help="contestants, by default all: ours,unfold,...")
    for each in (conv, step, adaptive):
        each.add_argument("--threads", type=int, metavar="T", help="threads of torch")
        each.add_argument(
            "--rounds", type=int, default=5, metavar="R", help="rounds (5; three times as many below 5 ms)"
        )
        each.add_argument("--out", metavar="FILE", help=f"results, continued if there (in {RESULTS})")


def run(options: argparse.Namespace) -> int:
    """Measures, writing as it goes, and prints the verdict."""
    import torch

    for name in ("threads", "rounds", "every"):
        value = getattr(options, name, None)
        if value is not None and value < 1:
            raise ValueError(f"`--{name}` must be positive, got {value}.")
    if options.threads:
        torch.set_num_threads(options.threads)
    return {"step": _steps, "conv": _convolutions, "adaptive": _adaptive}[options.kind](options)


def _convolutions(options: argparse.Namespace) -> int:
    from .convolutions import measure_subset
    from .summary import summary_lines

    out = options.out or RESULTS / f"conv-{options.subset}.json"
    only = [name for name in options.only.split(",") if name]
    limits = {"every": options.every, "minutes": options.minutes, "rounds": options.rounds}
    entries = measure_subset(options.subset, out, only=only, say=_say, **limits)
    print("\n".join(["", *summary_lines(entries), f"written to {out}"]))
    return 0


def _steps(options: argparse.Namespace) -> int:
    from .steps import measure_steps

    out = options.out or RESULTS / "step.json"
    measure_steps(out, skip_slow=options.skip_slow, rounds=options.rounds, say=_say)
    print(f"written to {out}")
    return 0


def _adaptive(options: argparse.Namespace) -> int:
    from .adaptive_layers import measure_adaptive

    out = options.out or RESULTS / "adaptive" / f"{options.subset}.json"
    only = [name for name in options.only.split(",") if name]
    measure_adaptive(options.subset, out, only=only, rounds=options.rounds, say=_say)
    print(f"written to {out}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)
