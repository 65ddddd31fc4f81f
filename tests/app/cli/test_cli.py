"""The command line: exit codes, one-line errors, and what is printed where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flexkern.app.cli import doctor, train
from flexkern.app.cli.main import main
from flexkern.app.cli.text import duration_text, table
from tiny import tiny_recipe, write_tiny_npz


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    data = write_tiny_npz(folder / "squares.npz")
    path = folder / "tiny.yaml"
    path.write_text(tiny_recipe(data, folder / "run", epochs=1).to_yaml())
    return path


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a command that must fail with exit code 2 and one line; returns the line."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("flexkern: error: ")
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "invalid choice: 'trian'"),
        (["train"], "required: NAME|FILE.yaml"),
        (["train", "digts"], "did you mean `digits`?"),
        (["train", "nowhere/my.yaml"], "no recipe file nowhere/my.yaml"),
        (["train", "digits", "--epohcs", "3"], "unknown key `epohcs`; did you mean `epochs`?"),
        (["train", "digits", "--model.widht", "3"], "did you mean `model.width`?"),
        (["train", "digits", "--epochs"], "`--epochs` needs a value"),
        (["train", "digits", "--epochs", "--resume"], "`--epochs` needs a value"),
        (["train", "digits", "--epochs", "many"], "`epochs` must be a whole number"),
        (["train", "digits", "--lr=-1"], "`optimiser.lr` must be above 0"),
        (["train", "digits", "--data-dir"], "expected one argument"),
        (["train", "digits", "--model.width", "[1"], "not valid YAML"),
        (["eval", "nowhere"], "no run folder, weights file or shipped weights `nowhere`"),
        (["eval", "a", "b"], "unrecognized arguments: b"),
        (["eval", "a", "--resolution", "0.5,0"], "must be positive numbers such as 0.5,1,2, got '0.5,0'"),
        (["doctor", "--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in failure(arguments, capsys)


def test_train_then_eval(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(recipe), "--epochs", "2", "--size-lr=1e-3"]) == 0
    out = capsys.readouterr().out
    folder = recipe.parent / "run"
    record = json.loads((folder / "record.json").read_text())
    assert (record["epochs"], record["recipe"]["optimiser"]["size_lr"]) == (2, 0.001)
    assert "stem.0           7 x 7" in out
    assert f"test accuracy {100 * record['accuracy']:.2f} % on 30 samples" in out
    assert str(folder / "windows.png") in out
    assert main(["eval", str(folder)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["accuracy"], result["n"], result["task"]) == (record["accuracy"], 30, "npz")
    assert main(["eval", str(folder), "--resolution", "1,2"]) == 0
    out = capsys.readouterr().out
    assert "2           16 x 16" in out
    assert [part["scale"] for part in json.loads(out.splitlines()[-1])["resolutions"]] == [1, 2]
    assert "smaller than one sample" in failure(["eval", str(folder), "--resolution", "0.1"], capsys)


def test_resume_needs_no_repeated_keys(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert main(["train", str(recipe), "--lr", "3e-3", *out]) == 0
    assert main(["train", str(recipe), "--resume", "--epochs", "2", *out]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert (record["epochs"], record["recipe"]["optimiser"]["lr"]) == (2, 0.003)
    capsys.readouterr()
    assert "`optimiser.lr` was 0.003 and is now 0.1" in failure(
        ["train", str(recipe), "--resume", "--lr", "0.1", *out], capsys
    )


def test_data_dir_and_a_folder_that_cannot_be_written(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert "nothing.npz" in failure(["train", str(recipe), "--data-dir", str(tmp_path / "nothing.npz"), *out], capsys)
    line = failure(["train", str(recipe), "--out", str(recipe / "run")], capsys)
    assert "cannot write to the run folder" in line
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_ctrl_c_is_130_with_a_hint(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flexkern.app.training.fitting.fit", interrupted)
    assert main(["train", str(recipe)]) == 130
    assert "--resume" in capsys.readouterr().err


def test_unexpected_errors_keep_their_traceback(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("flexkern.app.training.fitting.fit", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["train", str(recipe)])


def test_recipes_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("digits", "mnist-flexnet", "mnist1d-flextcn", "what it reaches"))
    assert main(["recipes", "digits"]) == 0
    assert "size_lr:" in capsys.readouterr().out


def test_doctor_passes_and_tells_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FFT engine = direct engine  ok" in out
    monkeypatch.setattr(doctor, "engines_agree", lambda: (False, "error 1"))
    assert main(["doctor"]) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["eval", "-h"], ["recipes", "-h"]])
def test_help_has_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    assert "examples:\n  flexkern" in capsys.readouterr().out


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "usage: flexkern" in capsys.readouterr().out


def test_a_process_prints_errors_to_stderr_and_imports_lightning_only_to_train() -> None:
    code = """
import runpy, sys
sys.argv = ["flexkern", "eval", "nowhere"]
try:
    runpy.run_module("flexkern", run_name="__main__")  # as `python -m flexkern` does
finally:
    assert not {"lightning", "matplotlib", "rich"} & set(sys.modules), "too eager"
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("flexkern: error: no run folder")
    assert done.stderr.count("\n") == 1


def test_a_missing_extra_is_named(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'flexkern[train]'" in failure(["train", str(recipe)], capsys)


def test_splitting_the_command_line() -> None:
    words = ["train", "digits", "--epochs", "3", "--resume", "--data-dir", "--odd", "--lr=-1", "--out=x"]
    rest, changes = train.split_changes(words)
    assert rest == ["train", "digits", "--resume", "--data-dir", "--odd", "--out=x"]
    assert changes == {"epochs": "3", "lr": "-1"}


def test_tables_and_durations() -> None:
    assert table(["a", "long"], [["xyz", "1"]]) == "a    long\n---  ----\nxyz  1"
    assert [duration_text(s) for s in (0.25, 5, 125, 7200)] == ["0.2 s", "5 s", "2 min 5 s", "2 h"]


def test_train_without_lightning_names_the_extra(recipe: Path) -> None:
    code = (
        f"import sys; sys.modules['lightning'] = None; from flexkern.app.cli.main import main;"
        f"sys.exit(main(['train', {str(recipe)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "flexkern: error: training needs the `train` extra: pip install 'flexkern[train]'.\n"
