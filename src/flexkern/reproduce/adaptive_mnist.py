"""Adaptive kernels on MNIST: few parameters, few epochs? Against LeNets and plain networks of equal parameters."""

from __future__ import annotations

import csv
import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..analysis import count_cost
from ..atomic import write_json
from ..bench.isolated import in_own_process
from ..bench.memory import peak_memory
from ..bench.timing import interleave, time_runs
from ..models import create_model
from ..training import Recipe, fit, load_recipe, override
from ..training.record import command_without_places, commit, machine, versions

SHAPE = (1, 28, 28)
THRESHOLDS = (0.98, 0.985, 0.99)
ROUNDS = 15
Result = dict[str, Any]


@dataclass(frozen=True)
class Contestant:
    """A recipe of the package with some keys changed."""

    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""


CONTESTANTS: dict[str, Contestant] = {
    "adaptive": Contestant("mnist-adaptive", about="adaptive stem"),
    "plain": Contestant("mnist-adaptive", {"model.name": "plain_lenet"}, "ordinary stem, equal parameters"),
    "frozen": Contestant("mnist-adaptive", {"model.frozen": True}, "adaptive stem as drawn, never trained"),
    "wide": Contestant("mnist-adaptive", {"model.name": "plain_lenet_wide"}, "ordinary stem, equal latency"),
    "lenet5": Contestant("mnist-adaptive", {"model.name": "lenet5", "lr": 0.004}, "LeNet-5"),
    "lenet_caffe": Contestant("mnist-adaptive", {"model.name": "lenet_caffe", "lr": 0.004}, "Caffe's LeNet"),
    "adaptive-1k": Contestant("mnist-adaptive-1k", about="adaptive stem"),
    "plain-1k": Contestant("mnist-adaptive-1k", {"model.name": "plain_lenet_1k"}, "ordinary stem, equal parameters"),
}


def reproduce_adaptive_mnist(
    out: str | Path,
    *,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    changes: Mapping[str, Any] | None = None,
    runs: str | Path = "runs/adaptive-mnist",
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains what ``out`` does not hold yet, then measures what the models cost; writes ``out`` after every run.

    Args:
        only: names of :data:`CONTESTANTS`; all by default.
        changes: of the recipes, for all contestants ("data.dir", "epochs" ...).
        runs: where the training runs go; an interrupted one is continued.

    Raises:
        ValueError: for an unknown contestant, or if ``out`` holds runs of another recipe.
    """
    for name in only:
        if name not in CONTESTANTS:
            raise ValueError(f"unknown contestant {name}; known: {', '.join(CONTESTANTS)}.")
    for seed in seeds:
        for name in only or CONTESTANTS:
            if not _is_done(Path(out), name, seed, changes or {}):
                run = train(name, seed, changes or {}, Path(runs))
                add_run(Path(out), name, run)
                say(f"{name}, seed {seed}: {100 * run['accuracy']:.2f} % in {run['seconds'] / 60:.0f} min")
    return finish(Path(out))


def train(name: str, seed: int, changes: Mapping[str, Any], runs: Path) -> Result:
    """One run; what is kept of it."""
    recipe = _recipe_of(name, seed, changes)
    folder = runs / f"{name}-{seed}-{recipe.epochs}-epochs"  # a shorter try is another run
    recipe = override(recipe, {"out": str(folder)})
    record = fit(recipe, resume=(folder / "last.ckpt").is_file(), progress=False)
    kept = ("accuracy", "validation_accuracy", "best_epoch", "epochs", "seconds", "n_train", "n_validation", "n_test")
    run = {"seed": seed, **{key: getattr(record, key) for key in kept}, **epochs_to_reach(folder)}
    return {**run, "commit": record.commit, "threads": record.machine["threads"], "recipe": _stated(record.recipe)}


def epochs_to_reach(folder: Path) -> Result:
    """The first epoch whose validation accuracy is at or above each threshold; None where none is."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        reached = [float(row["accuracy/validation"]) for row in csv.DictReader(file)]
    first = {limit: next((i for i, value in enumerate(reached, 1) if value >= limit), None) for limit in THRESHOLDS}
    return {"epochs_to": {f"{100 * limit:g} %": epoch for limit, epoch in first.items()}}


def add_run(out: Path, name: str, run: Result) -> None:
    """Reads, adds, writes."""
    result = read(out)
    result["contestants"].setdefault(name, {"about": CONTESTANTS[name].about, "runs": []})["runs"].append(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, result)


def read(out: Path) -> Result:
    """The results so far."""
    if not out.is_file():
        return {"name": "adaptive-mnist", "contestants": {}}
    found = json.loads(out.read_text(encoding="utf-8"))
    if "contestants" not in found:
        raise ValueError(f"{out} is not a file of this comparison; give another `--out`.")
    return dict(found)


def finish(out: Path) -> Result:
    """Adds means, what the models cost, and how all was obtained."""
    costs = measure_costs({name: _model_of(entry) for name, entry in read(out)["contestants"].items()})
    result = read(out)
    for name, entry in result["contestants"].items():
        values = [run["accuracy"] for run in entry["runs"]]
        spread = statistics.stdev(values) if len(values) > 1 else None
        entry.update(accuracy_mean=statistics.mean(values), accuracy_sd=spread, **costs[name])
    result.update(command=command_without_places(), commit=commit(), machine=machine(), versions=versions())
    write_json(out, result)
    return result


def measure_costs(models: Mapping[str, tuple[str, Result]]) -> dict[str, Result]:
    """Counted costs; seconds of one image, taken in turns; bytes that 64 images need at their peak."""
    built = {name: create_model(model, **options).eval() for name, (model, options) in models.items()}
    image = torch.randn(1, *SHAPE)
    with torch.inference_mode():
        calls = {name: (lambda model=model: model(image)) for name, model in built.items()}
        for call in calls.values():
            call()
        timings = interleave(calls, {name: time_runs(call) for name, call in calls.items()}, ROUNDS, give_up=False)
    return {
        name: {
            **dataclasses.asdict(count_cost(model, SHAPE)),
            "latency": timings[name].seconds,
            "latency_iqr": timings[name].iqr,
            "memory": in_own_process(_memory_here, *models[name]),
        }
        for name, model in built.items()
    }


def _memory_here(model: str, options: Result, batch: int = 64) -> int | None:
    """Bytes of one forward pass of a batch, beyond the model and the images."""
    torch.set_num_threads(1)
    net = create_model(model, **options).eval()
    with torch.inference_mode():
        net(torch.randn(1, *SHAPE))
        images = torch.randn(batch, *SHAPE)
        return peak_memory(lambda: net(images))[1]


def _model_of(entry: Result) -> tuple[str, Result]:
    options = dict(entry["runs"][0]["recipe"]["model"])
    return options.pop("name"), options


def _recipe_of(name: str, seed: int, changes: Mapping[str, Any]) -> Recipe:
    contestant = CONTESTANTS[name]
    return override(load_recipe(contestant.recipe), {**contestant.changes, **changes, "seed": seed, "name": name})


def _is_done(out: Path, name: str, seed: int, changes: Mapping[str, Any]) -> bool:
    """Whether the results hold this run; it must have been of the same recipe."""
    for run in read(out)["contestants"].get(name, {"runs": []})["runs"]:
        if run["seed"] == seed:
            if run["recipe"] != _stated(_recipe_of(name, seed, changes).to_dict()):
                raise ValueError(f"{out} holds {name}, seed {seed}, of another recipe; give another `--out`.")
            return True
    return False


def _stated(recipe: Result) -> Result:
    """The recipe without what belongs to one machine."""
    kept = {key: value for key, value in recipe.items() if key not in ("out", "about", "seed", "threads")}
    return {**kept, "data": {key: value for key, value in kept["data"].items() if key != "dir"}}
