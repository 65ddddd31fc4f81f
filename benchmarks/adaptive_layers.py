"""Measure the adaptive convolution against the ways to write it in plain torch."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from flexkern.app.measure.isolated import in_own_process
from flexkern.app.measure.memory import peak_memory
from flexkern.app.measure.timing import ROUNDS, interleave, time_runs
from flexkern.layers import AdaptiveConv2d

from .options import RESULTS, add_shared_options, apply_shared_options, names_in
from .options import say as print_line
from .store import Entry, ResultsFile

ABOUT = "measure adaptive convolutions against plain torch"
SEED = 0
PASSES = ("forward", "forward+backward")


@dataclass(frozen=True)
class AdaptiveCase:
    """One layer ("same" padding) at one input; ``least`` is the ratio to eager unfold that it must reach, if any.

    Example:
        >>> AdaptiveCase(8, 16, 16, 3, 32, "forward").name
        '8x16->16 k3 32px forward'
    """

    batch: int
    in_channels: int
    out_channels: int
    kernel: int
    side: int
    direction: str
    least: float | None = None

    @property
    def name(self) -> str:
        """The unique name of the case."""
        channels = f"{self.in_channels}->{self.out_channels}"
        return f"{self.batch}x{channels} k{self.kernel} {self.side}px {self.direction}"

    def build(self) -> tuple[AdaptiveConv2d, Tensor]:
        """Return the layer and an input."""
        torch.manual_seed(SEED)
        layer = AdaptiveConv2d(self.in_channels, self.out_channels, self.kernel, padding="same", bias=False)
        x = torch.randn(self.batch, self.in_channels, self.side, self.side)
        return layer, x.requires_grad_(self.direction != PASSES[0])


def unfolded(layer: AdaptiveConv2d, x: Tensor) -> Tensor:
    """Compute the layer the usual way: unfold, a grouped convolution, tanh, product, sum."""
    (k, _), outputs, channels = layer.kernel_size, layer.out_channels, layer.in_channels
    z = F.conv2d(x, layer.generator_weight, layer.generator_bias, padding=k // 2, groups=channels)
    kernels = torch.tanh(z).view(len(x), channels, outputs, k * k, -1)
    patches = F.unfold(x, k, padding=k // 2).view(len(x), channels, 1, k * k, -1)
    return (kernels * patches).sum((1, 3)).view(len(x), outputs, *x.shape[2:])


def shifted(layer: AdaptiveConv2d, x: Tensor) -> Tensor:
    """Compute the layer with shifted slices, one tap after the other, as the public scripts do."""
    (k, _), outputs, channels = layer.kernel_size, layer.out_channels, layer.in_channels
    z = F.conv2d(x, layer.generator_weight, layer.generator_bias, padding=k // 2, groups=channels)
    kernels = torch.tanh(z).view(len(x), channels, outputs, k * k, *x.shape[2:])
    padded = F.pad(x, (k // 2,) * 4)
    total = torch.zeros((), dtype=x.dtype)
    for row, column in itertools.product(range(k), repeat=2):
        shift = padded[:, :, None, row : row + x.shape[2], column : column + x.shape[3]]
        total = total + (kernels[:, :, :, row * k + column] * shift).sum(1)
    return total


CONTESTANTS: dict[str, Callable[[AdaptiveConv2d, Tensor], Tensor]] = {
    "ours": lambda layer, x: layer(x),
    "unfold": unfolded,
    "unfold-compiled": unfolded,
    "shift": shifted,
}


def claims() -> Iterator[AdaptiveCase]:
    """Yield the two layers whose speed is claimed."""
    for (channels, least), index in itertools.product(((16, (4.0, 3.0)), (3, (2.5, 2.0))), range(2)):
        yield AdaptiveCase(8, channels, 16, 3, 32, PASSES[index], least[index])


def grid() -> Iterator[AdaptiveCase]:
    """Yield kernels 3 to 7, channels 1 to 64, images of 28 to 64 pixels, if all per-position kernels fit into 1 GiB.

    Unfolding needs several times as much. Wide kernels of many channels at 64 pixels are left out.
    """
    for kernel, (ins, outs), side, direction in itertools.product(
        (3, 5, 7), ((1, 1), (1, 6), (3, 16), (16, 16), (64, 64)), (28, 64), PASSES
    ):
        batch = 8 if ins < 64 else 1
        if 4 * batch * ins * outs * kernel**2 * side**2 <= 2**30:
            yield AdaptiveCase(batch, ins, outs, kernel, side, direction)


SUBSETS: dict[str, Callable[[], Iterator[AdaptiveCase]]] = {"claims": claims, "full": grid}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subset of cases and the contestants."""
    parser.add_argument("--subset", default="claims", metavar="S", help="claims (default) or full")
    parser.add_argument("--only", default="", metavar="A,B", help="contestants, by default all: ours,unfold,...")
    add_shared_options(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, writing after every case."""
    apply_shared_options(options)
    out = options.out or RESULTS / "adaptive" / f"{options.subset}.json"
    measure_adaptive(options.subset, out, only=names_in(options.only), rounds=options.rounds, say=print_line)
    print(f"written to {out}")
    return 0


def measure_adaptive(
    subset: str,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda text: None,
) -> list[Entry]:
    """Measure the cases that ``out`` lacks; return all cases that it then has."""
    if subset not in SUBSETS:
        raise ValueError(f"unknown `--subset` {subset}; known: {', '.join(SUBSETS)}.")
    for name in only:
        if name not in CONTESTANTS:
            raise ValueError(f"unknown contestant {name}; known: {', '.join(CONTESTANTS)}.")
    names, cases = tuple(only) or tuple(CONTESTANTS), list(SUBSETS[subset]())
    file = ResultsFile(out, seed=SEED, rounds=rounds)
    for case in cases:
        if not file.has(case.name, names):
            file.add(measure_case(case, names, rounds))
            say(describe(file.points[case.name]))
    return [file.points[case.name] for case in cases if case.name in file.points]


def measure_case(case: AdaptiveCase, names: Sequence[str], rounds: int = ROUNDS) -> Entry:
    """Measure times in turns, relative errors against float64, and the memory of one run in its own process."""
    torch._dynamo.reset()  # otherwise the ninth case would stay eager
    runs = {name: make_run(case, name) for name in names}
    for run in runs.values():
        run()  # compiles what is compiled
    first = {name: time_runs(run) for name, run in runs.items()}
    timings = interleave(runs, first, rounds)
    exact = _exact(case)
    results = {
        name: {
            **dataclasses.asdict(timings[name]),
            "error": float((runs[name]().double() - exact).norm() / exact.norm()),
            "memory": in_own_process(_memory_here, case, name, torch.get_num_threads()),
        }
        for name in names
    }
    return {"name": case.name, **dataclasses.asdict(case), "results": results}


def make_run(case: AdaptiveCase, contestant: str) -> Callable[[], Tensor]:
    """Return a call of one pass, which returns the output."""
    layer, x = case.build()
    call: Callable[[Tensor], Tensor] = functools.partial(CONTESTANTS[contestant], layer)
    if contestant.endswith("compiled"):
        call = torch.compile(call, dynamic=False)
    if case.direction == PASSES[0]:

        def forward() -> Tensor:
            with torch.no_grad():
                return call(x)

        return forward

    def both() -> Tensor:
        output = call(x)
        output.backward(torch.ones_like(output))
        return output.detach()

    return both


def _exact(case: AdaptiveCase) -> Tensor:
    layer, x = case.build()
    with torch.no_grad():
        return torch.cat([unfolded(layer.double(), one.double()) for one in x.split(1)])


def _memory_here(case: AdaptiveCase, contestant: str, threads: int) -> int | None:
    torch.set_num_threads(threads)
    if contestant.endswith("compiled"):
        make_run(case, contestant)()  # the compiler's own memory
    else:
        make_run(dataclasses.replace(case, batch=1, side=8), contestant)()  # loads what torch loads lazily
    return peak_memory(make_run(case, contestant))[1]


def describe(entry: Entry) -> str:
    """Return one line: the case, our time, and how many times longer the others took."""
    ours = entry["results"].get("ours", {}).get("seconds")
    if ours is None:
        return str(entry["name"])
    others = [f"{n} {r['seconds'] / ours:.2f}x" for n, r in entry["results"].items() if n != "ours"]
    return f"{entry['name']}: ours {1e3 * ours:.2f} ms, {', '.join(others)}"
