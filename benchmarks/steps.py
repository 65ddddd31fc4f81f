"""Measure training steps - forward, loss, backward, Adam - of our layers and of the authors' algorithm.

The alias penalty of the model, forward and backward, is measured as well: what it would add to a step.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.app.measure.isolated import in_own_process
from flexkern.app.measure.memory import peak_memory
from flexkern.app.measure.timing import ROUNDS, interleave, time_runs
from flexkern.models import create_model
from flexkern.regularisers import alias_penalty
from flexkern.windows import size_parameters, sizes

from .authors import authors_model
from .options import RESULTS, add_shared_options, apply_shared_options
from .options import say as print_line
from .store import Entry, ResultsFile

ABOUT = "measure training steps against the authors' algorithm"
SEED = 0
CLASSES = 10
CONTESTANTS = ("ours", "authors")


@dataclass(frozen=True)
class StepCase:
    """One model at one window width; ``least`` is the ratio to the authors' time that ours must reach, if any.

    Example:
        >>> StepCase("flexnet7", (64, 3, 32, 32), 33, 0.15).name
        'flexnet7 64x3x32x32 width 0.15'
    """

    model: str
    input: tuple[int, ...]
    kernel: int
    width: float
    least: float | None = None
    slow: bool = False

    @property
    def name(self) -> str:
        """The unique name of the case."""
        return f"{self.model} {'x'.join(map(str, self.input))} width {self.width:g}"

    def build(self) -> nn.Module:
        """Return the model at its initial width, with the paper's window (cut off where it is 0.1 high)."""
        torch.manual_seed(SEED)
        window = {"width": self.width, "continuous": False}
        return create_model(
            self.model, in_channels=self.input[1], classes=CLASSES, kernel_size=self.kernel, window=window
        )


CASES = (
    StepCase("flexnet7", (64, 3, 32, 32), 33, 0.075, 1.2),
    StepCase("flexnet7", (64, 3, 32, 32), 33, 0.15, 5),
    StepCase("flexnet7", (64, 3, 32, 32), 33, 0.25, 20),
    StepCase("flexnet7", (64, 3, 32, 32), 33, 0.5, slow=True),
    StepCase("flextcn4", (64, 1, 784), 784, 1.0, 3),
    StepCase("flextcn4", (8, 1, 16_000), 16_000, 0.075, 6),
)
GROWTH_LIMIT = 2.0
"""Largest ratio of the times of our FlexNet-7 at its largest and smallest width."""
PENALTY, PENALTY_LIMIT = "penalty", 0.03
"""Largest share of our step that the alias penalty may take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice of slow cases."""
    parser.add_argument("--skip-slow", action="store_true", help="leave out what takes minutes per step")
    add_shared_options(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, writing after every case."""
    apply_shared_options(options)
    out = options.out or RESULTS / "step.json"
    measure_steps(out, skip_slow=options.skip_slow, rounds=options.rounds, say=print_line)
    print(f"written to {out}")
    return 0


def measure_steps(
    out: str | Path,
    *,
    cases: Sequence[StepCase] = CASES,
    skip_slow: bool = False,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda text: None,
) -> list[Entry]:
    """Measure the cases that ``out`` lacks; return all cases that it then has.

    ``skip_slow`` leaves out the authors' algorithm where it takes minutes per step.
    """
    file = ResultsFile(out, seed=SEED, rounds=rounds, sizes="learned at rate 0, so that they stay")
    for case in cases:
        names = CONTESTANTS[:1] if case.slow and skip_slow else CONTESTANTS
        if not file.has(case.name, names):
            file.add(measure_case(case, names, rounds))
            say(describe(file.points[case.name]))
    return [file.points[case.name] for case in cases if case.name in file.points]


def measure_case(case: StepCase, names: Sequence[str] = CONTESTANTS, rounds: int = ROUNDS) -> Entry:
    """Time the contestants' steps in turns, and measure the memory of one step of each in a process of its own."""
    steps = {name: make_step(case, name) for name in names}
    first = {name: time_runs(step) for name, step in steps.items()}
    timings = interleave(steps, first, rounds, give_up=False)
    del steps
    penalty = {PENALTY: make_penalty(case)}
    timings |= interleave(penalty, {name: time_runs(run) for name, run in penalty.items()}, rounds)
    results = {name: {**dataclasses.asdict(timings[name]), "memory": step_memory(case, name)} for name in names}
    skipped = {name: {"skipped": "takes minutes"} for name in CONTESTANTS if name not in names}
    learned = {layer: list(size) for layer, size in sizes(case.build()).items()}
    about = {"name": case.name, "model": case.model, "width": case.width, "least": case.least, "sizes": learned}
    return {**about, PENALTY: dataclasses.asdict(timings[PENALTY]), "results": results | skipped}


def make_penalty(case: StepCase) -> Callable[[], object]:
    """Return a call that computes the alias penalty of the case's model and its gradients."""
    model = case.build()
    return lambda: alias_penalty(model).backward()


def make_step(case: StepCase, contestant: str) -> Callable[[], float]:
    """Return a call of one training step, which returns the loss."""
    model = case.build()
    if contestant == "authors":
        model = authors_model(model)
    optimiser = torch.optim.Adam(parameter_groups(model), lr=1e-3)
    x, labels = make_batch(case.input)

    def step() -> float:
        return train_step(model, optimiser, x, labels)

    return step


def train_step(model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, labels: Tensor) -> float:
    """Run forward, cross-entropy, backward and optimiser; return the loss."""
    optimiser.zero_grad()
    loss = F.cross_entropy(model(x), labels)
    loss.backward()
    optimiser.step()
    return loss.item()


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return parameter groups in which sizes get gradients but a rate of 0, so that every step does the same work."""
    size_ids = {id(parameter) for parameter in size_parameters(model)}
    others = [parameter for parameter in model.parameters() if id(parameter) not in size_ids]
    return [{"params": others}, {"params": size_parameters(model), "lr": 0.0}]


def make_batch(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return noise and labels."""
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(shape, generator=generator)
    return x, torch.randint(CLASSES, shape[:1], generator=generator)


def step_memory(case: StepCase, contestant: str) -> int | None:
    """Return the bytes that one step needs besides model and data, measured in a new process."""
    return in_own_process(_memory_here, case, contestant, torch.get_num_threads())


def _memory_here(case: StepCase, contestant: str, threads: int) -> int | None:
    torch.set_num_threads(threads)
    # A small step first: it loads what torch loads lazily, which does not belong to the step.
    make_step(dataclasses.replace(case, input=(2, *case.input[1:])), contestant)()
    return peak_memory(make_step(case, contestant))[1]


def describe(entry: Entry) -> str:
    """Return one line: the case, the times and their ratio."""
    ours, theirs = (entry["results"].get(name, {}) for name in CONTESTANTS)
    text = f"{entry['name']}: ours {ours['seconds']:.3f} s"
    if "seconds" not in theirs:
        return text
    return f"{text}, authors {theirs['seconds']:.3f} s, {theirs['seconds'] / ours['seconds']:.1f}x"
