"""``flexkern tune``: measures, writes the constants of this machine, and says what it did."""

import contextlib
import io
import json
import math
import os
import warnings
from pathlib import Path

import pytest
import torch

from flexkern.app.cli.main import main
from flexkern.engines.choice import chooser, machine, tuning
from flexkern.engines.choice import cost_model as costs


def forget() -> None:
    machine.forget_costs()
    chooser._cached_plan.cache_clear()


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Folder and output of one quick run into a folder that did not exist."""
    folder = tmp_path_factory.mktemp("tune") / "new" / "cache"
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("FLEXKERN_CACHE", str(folder))
        assert main(["tune", "--quick"]) == 0
    return folder, out.getvalue()


@pytest.fixture
def here(tuned, monkeypatch) -> Path:
    monkeypatch.setenv("FLEXKERN_CACHE", str(tuned[0]))
    forget()
    yield tuned[0]
    monkeypatch.undo()
    forget()


def test_the_file_is_this_machine_s(here):
    content = json.loads((here / "costs.json").read_text())
    assert set(content) >= {"key", "constants"}
    assert content["key"]["torch"] == torch.__version__
    assert content["key"]["threads"] == torch.get_num_threads()
    assert content["constants"].keys() == costs.CostModel.shipped().constants.keys()
    assert all(type(value) is float and 0 < value < math.inf for value in content["constants"].values())


def test_nothing_else_is_left_behind(here):
    assert [path.name for path in here.iterdir()] == ["costs.json"]


def test_the_constants_are_used_in_silence(here):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = machine.load_costs()
    assert dict(found.constants) == json.loads((here / "costs.json").read_text())["constants"]
    assert found != costs.CostModel.shipped()


def test_a_table_and_the_place_are_printed(tuned):
    folder, out = tuned
    assert str(folder / "costs.json") in out
    assert "---" in out
    assert len(out.splitlines()) >= 4


def test_a_second_run_says_that_it_replaces(here, tuned, monkeypatch, capsys):
    monkeypatch.setattr(tuning, "least_seconds", lambda call, budget, grad=False: 1e-4)
    before = (here / "costs.json").read_text()
    assert main(["tune", "--quick"]) == 0
    out = capsys.readouterr().out
    assert (here / "costs.json").read_text() != before
    assert "replaced" in out.lower()
    assert "replaced" not in tuned[1].lower()


def test_threads_are_left_as_they_were(tuned):
    assert torch.get_num_threads() == int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tune", "--fast"], "unrecognized arguments: --fast"),
        (["tune", "all"], "unrecognized arguments: all"),
        (["tune", "--quick=3"], "ignored explicit argument"),
    ],
)
def test_bad_arguments_exit_2(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_a_folder_that_cannot_be_written_exits_2(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FLEXKERN_CACHE", str(tmp_path / "file"))
    assert main(["tune", "--quick"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("flexkern: error: ")
    assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "in the way"


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["tune", "--help"])
    assert "examples:\n  flexkern tune" in capsys.readouterr().out
