"""The cost model, and the tuned constants: used on the machine they belong to, ignored with a warning elsewhere."""

import dataclasses
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from flexkern.engines import ENGINES, ConvProblem, Plan, plan_conv
from flexkern.engines.choice import chooser, machine
from flexkern.engines.choice import cost_model as costs
from flexkern.engines.choice.chooser import make_plan

SEQUENCE = ConvProblem(8, 16, 16, (512,), (201,), padding=((200, 0),))
IMAGES = ConvProblem(16, 24, 24, (32, 32), (9, 9), padding=((4, 4),) * 2)
DEPTHWISE = ConvProblem(8, 64, 64, (32, 32), (13, 13), padding=((6, 6),) * 2, groups=64)
PROBLEMS = {"sequence": SEQUENCE, "images": IMAGES, "depthwise": DEPTHWISE}


def shipped() -> dict[str, float]:
    return dict(costs.CostModel.shipped().constants)


def scaled(part: str, factor: float) -> dict[str, float]:
    """Return the shipped constants, those with ``part`` in their name multiplied by ``factor``."""
    chosen = {name: value * factor for name, value in shipped().items() if part in name}
    assert chosen, f"no constant of {part}"
    return {**shipped(), **chosen}


def forget() -> None:
    """Restore the state of a new process: nothing read, nothing planned."""
    machine.forget_costs()
    chooser._cached_plan.cache_clear()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Use an empty cache folder, so that the constants of this machine do not matter."""
    monkeypatch.setenv("FLEXKERN_CACHE", str(tmp_path))
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def write(folder: Path, constants: object, **changes: object) -> Path:
    path = folder / "costs.json"
    path.write_text(json.dumps({"key": {**machine.machine_key(), **changes}, "constants": constants}))
    forget()
    return path


def load() -> tuple[costs.CostModel, list[str]]:
    """Return the constants in use and the warnings."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = machine.load_costs()
        plan_conv(IMAGES), plan_conv(SEQUENCE), machine.load_costs()
    assert all(note.category is UserWarning for note in notes)
    return found, [str(note.message) for note in notes]


# The model ---------------------------------------------------------------------------------------------------


def total(plan: Plan) -> float:
    return sum(step.seconds for step in plan.passes)


def test_constants_are_positive_floats():
    assert all(type(value) is float and 0 < value < math.inf for value in shipped().values())
    assert hash(costs.CostModel.shipped()) == hash(costs.CostModel.shipped())
    assert costs.CostModel(shipped()) == costs.CostModel.shipped()


def test_a_model_cannot_be_changed():
    model = costs.CostModel(shipped())
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.constants = {}
    with pytest.raises(TypeError):  # one model is shared by all plans
        model.constants[next(iter(shipped()))] = 1.0


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("more", ["batch", "kernel", "signal", "channels"])
def test_estimates_grow(more, name):
    problem = PROBLEMS[name]
    grown = {
        "batch": {"batch": 8 * problem.batch},
        "kernel": {
            "kernel": tuple(2 * k + 1 for k in problem.kernel),
            "padding": tuple((2 * left, 2 * right + 1) for left, right in problem.padding),
        },
        "signal": {"signal": tuple(3 * n for n in problem.signal)},
        "channels": {
            "in_channels": 4 * problem.in_channels,
            "out_channels": 4 * problem.out_channels,
            "groups": 1 if problem.groups == 1 else 4 * problem.groups,
        },
    }[more]
    larger = dataclasses.replace(problem, **grown)
    for engine in ("auto", *ENGINES):
        before, after = plan_conv(problem, engine), plan_conv(larger, engine)
        for one, other in zip(before.passes, after.passes, strict=True):
            assert 0 < one.seconds < other.seconds < math.inf, engine


def test_direct_grows_with_the_kernel_and_a_spectrum_hardly_does():
    def ratio(engine: str) -> float:
        small, large = (
            ConvProblem(16, 24, 24, (64, 64), (k, k), padding=((k // 2,) * 2,) * 2, groups=1) for k in (7, 33)
        )
        return total(plan_conv(large, engine)) / total(plan_conv(small, engine))

    assert ratio("direct") > 10
    assert ratio("fft") < 4


@pytest.mark.parametrize("name", PROBLEMS)
def test_no_fixed_threshold(name):
    """The constants alone decide: an engine that is cheap enough is taken, whatever the sizes."""
    dear, cheap = (costs.CostModel(scaled("direct", factor)) for factor in (1e9, 1e-9))
    assert all(step.engine != "direct" for step in make_plan(PROBLEMS[name], costs=dear).passes)
    assert all(step.engine == "direct" for step in make_plan(PROBLEMS[name], costs=cheap).passes)


def test_where_the_choice_turns_follows_the_constants():
    """The dearer the direct engine, the smaller the kernels from which spectra pay off."""

    def turn(constants: costs.CostModel) -> int:
        for k in range(1, 65, 2):
            problem = dataclasses.replace(IMAGES, kernel=(k, k), padding=((k // 2,) * 2,) * 2)
            if make_plan(problem, costs=constants).engine != "direct":
                return k
        return 65

    turns = [turn(costs.CostModel(scaled("direct", factor))) for factor in (0.01, 0.1, 1, 10, 100)]
    assert turns == sorted(turns, reverse=True)
    assert len(set(turns)) >= 3


def test_memory_that_the_system_clears_has_a_price():
    """Large results and large spectra are fresh memory; small tensors are not."""
    dear = costs.CostModel({**shipped(), "memory/fresh": 1.0})

    def cleared(problem, engine, name="forward"):
        step = getattr(make_plan(problem, engine, costs=dear), name)
        return dear.seconds(problem, step, name) - costs.CostModel.shipped().seconds(problem, step, name)

    large = ConvProblem(64, 24, 24, (8192,), (9,), padding=((4, 4),))
    result = 4 * 64 * 24 * 8192
    assert cleared(IMAGES, "direct") == 0
    assert cleared(large, "direct") == pytest.approx(result)
    assert cleared(large, "overlap_save", "input_gradient") == pytest.approx(result)
    assert cleared(large, "direct", "weight_gradient") == 0
    one = dataclasses.replace(large, batch=1, signal=(64 * 8192,))
    assert cleared(one, "direct") == pytest.approx(3 * result)  # two more in the library's own order
    assert cleared(one, "direct", "weight_gradient") == pytest.approx(2 * result)
    depthwise = dataclasses.replace(large, in_channels=24, groups=24)
    whole = dataclasses.replace(plan_conv(depthwise, "fft").forward, batch_chunk=0, channel_chunk=0)
    spectra = 2 * 8 * 64 * 24 * (whole.lengths[0] // 2 + 1)
    found = dear.seconds(depthwise, whole, "forward") - costs.CostModel.shipped().seconds(depthwise, whole, "forward")
    assert found == pytest.approx(result + spectra)


# The cache ---------------------------------------------------------------------------------------------------


def test_without_a_cache_the_shipped_constants_are_used_in_silence():
    assert load() == (costs.CostModel.shipped(), [])


def test_a_good_cache_is_used_and_changes_the_plan(folder):
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,))).engine == "direct"
    constants = scaled("direct", 1e9)
    write(folder, constants)
    assert load() == (costs.CostModel(constants), [])
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,))).engine != "direct"
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,)), "direct").engine == "direct"


FOREIGN = {"torch": "1.0.0", "threads": 999, "device": "abacus"}
BAD_TEXT = {
    "empty": "",
    "garbage": "\x00\x01 not json",
    "cut_short": '{"key": {"torch": ',
    "list": "[]",
    "number": "7",
    "null": "null",
    "string": '"costs"',
    "no_key": json.dumps({"constants": {}}),
    "nested_too_deep": "[" * 100_000,
}
VALUES = {
    "text": "1e-9",
    "null": None,
    "true": True,
    "list": [1e-9],
    "negative": -1e-9,
    "zero": 0.0,
    "nan": math.nan,
    "infinite": math.inf,
    "huge_integer": 10**400,
}
BAD_CONSTANTS = {
    "missing": lambda good: None,
    "list": lambda good: list(good.values()),
    "none_at_all": lambda good: {},
    "one_missing": lambda good: dict(list(good.items())[1:]),
    "one_unknown": lambda good: {**good, "seconds_per_abacus": 1.0},
    **{f"value_{kind}": lambda good, value=value: {**good, next(iter(good)): value} for kind, value in VALUES.items()},
}


def assert_ignored_with_one_note(path: Path) -> None:
    found, notes = load()
    assert found == costs.CostModel.shipped()
    assert len(notes) == 1, notes
    assert str(path) in notes[0]
    assert "flexkern tune" in notes[0]  # what to do about it


@pytest.mark.parametrize("name", BAD_TEXT)
def test_a_broken_cache_is_ignored_with_one_note(name, folder):
    path = folder / "costs.json"
    path.write_text(BAD_TEXT[name])
    assert_ignored_with_one_note(path)


def test_a_cache_that_is_no_text_is_ignored_with_one_note(folder):
    path = folder / "costs.json"
    path.write_bytes(b"\xff\xfe\x80")
    assert_ignored_with_one_note(path)


@pytest.mark.parametrize("name", BAD_CONSTANTS)
def test_bad_constants_are_ignored_with_one_note(name, folder):
    assert_ignored_with_one_note(write(folder, BAD_CONSTANTS[name](shipped())))


@pytest.mark.parametrize("part", FOREIGN)
def test_a_foreign_cache_is_ignored_with_one_note(part, folder):
    assert part in machine.machine_key()
    assert_ignored_with_one_note(write(folder, scaled("direct", 1e9), **{part: FOREIGN[part]}))


@pytest.mark.parametrize("part", FOREIGN)
def test_a_key_without_a_part_is_ignored_with_one_note(part, folder):
    path = write(folder, shipped())
    content = json.loads(path.read_text())
    del content["key"][part]
    path.write_text(json.dumps(content))
    assert_ignored_with_one_note(path)


def test_a_cache_that_cannot_be_read_is_ignored_with_one_note(folder):
    path = folder / "costs.json"
    path.mkdir()  # permissions do not stop the root user; a folder does
    assert_ignored_with_one_note(path)


def test_the_number_of_threads_is_part_of_the_key(folder):
    before = torch.get_num_threads()
    write(folder, scaled("direct", 1e9))
    torch.set_num_threads(before + 1)
    try:
        forget()
        assert load()[0] == costs.CostModel.shipped()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("place", ["x" * 5000, "file/in/the/way"])
def test_a_place_that_cannot_be_is_no_error(place, folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("FLEXKERN_CACHE", str(folder / place))
    forget()
    found, notes = load()
    assert found == costs.CostModel.shipped()
    assert len(notes) <= 1


def test_plans_follow_what_was_just_measured(folder):
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,))).engine == "direct"
    assert machine.save_costs(costs.CostModel(scaled("direct", 1e9))) == folder / "costs.json"
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,))).engine != "direct"


@pytest.mark.parametrize("variable", ["FLEXKERN_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_where_the_cache_lies(variable, tmp_path, monkeypatch):
    for name in ("FLEXKERN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(variable, str(tmp_path))
    place = {"FLEXKERN_CACHE": ".", "XDG_CACHE_HOME": "flexkern", "HOME": ".cache/flexkern"}[variable]
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    constants = scaled("direct", 2.0)
    write(tmp_path / place, constants)
    assert load() == (costs.CostModel(constants), [])


def test_a_broken_cache_does_not_stop_a_process(folder):
    """Neither an import nor a convolution fails, and there is one warning even if warnings are always shown."""
    (folder / "costs.json").write_text("{")
    code = (
        "import torch, flexkern; from flexkern.engines import convolve;"
        "[convolve(torch.ones(1, 1, n), torch.ones(1, 1, 3)) for n in range(5, 15)]"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "FLEXKERN_CACHE": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("costs.json") == 1
