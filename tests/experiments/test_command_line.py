"""The command line: every experiment is listed and alike, and nothing replaces a result by a part of it."""

import argparse

import pytest

from experiments.__main__ import main
from experiments.common.catalogue import dashed, experiment_names, load_experiment, result_path


def test_help_lists_every_experiment(capsys):
    for words in ([], ["--help"]):
        assert main(words) == 0
        printed = capsys.readouterr().out
        assert "python -m experiments motion --data-dir" in printed
        for name in experiment_names():
            assert f"\n{dashed(name)} " in printed


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_has_the_same_parts(name):
    experiment = load_experiment(name)
    assert experiment is load_experiment(dashed(name))
    assert "\n" not in experiment.ABOUT
    assert len(experiment.ABOUT) < 100
    parser = argparse.ArgumentParser()
    experiment.add_arguments(parser)
    options = parser.parse_args([])
    assert {"threads", "data_dir", "out"} <= set(vars(options))
    assert f"experiments/{name}/result.json" in parser.format_help()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ablaton"], "unknown experiment `ablaton`; known: ablation, adaptive-mnist"),
        (["ablaton"], "did you mean 'ablation'?"),
        (["ablation", "--only", "SIRN"], "unknown contestant `SIRN`; known: FlexNet, GaborNet"),
        (["ablation", "--only", "SIRN"], "did you mean 'SIREN'?"),
        (["ablation", "--seeds", "one"], "`--seeds` must be whole numbers such as 0,1,2, got 'one'"),
        (["ablation", "--threads", "0"], "`--threads` must be positive, got 0"),
        (["ablation", "--epochs", "0", "--out", "x.json"], "`--epochs` must be positive, got 0"),
        (["ablation", "--out", "."], ". is a folder: give `--out` a file"),
        (["kernel-fitting", "--data-dir", "d", "--epochs", "1"], "unrecognized arguments: --epochs 1"),
        (["cross-resolution"], "cross-resolution needs `--data-dir`, the folder or file of MNIST"),
        (["kernel-fitting"], "kernel-fitting needs `--data-dir`, a folder of images"),
        (["motion", "--data-dir", "nowhere", "--out", "x.json"], "must have at least 4 images"),
    ],
)
def test_user_errors_are_one_line(words, message, tmp_path, monkeypatch, capsys):
    if words[0] == "motion":
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["adaptive-mnist", "--epochs", "1"],
        ["cross-resolution", "--data-dir", "d", "--epochs", "1"],
        ["kernel-fitting", "--data-dir", "d", "--seeds", "0"],
        ["ablation", "--epochs", "1"],
        ["digits", "--epochs", "1"],
    ],
)
def test_a_try_needs_a_file_of_its_own(words, capsys):
    assert main(words) == 2
    assert "give `--out`" in capsys.readouterr().err


def test_a_result_of_other_data_is_left_alone(capsys):
    """Without ``--data-dir`` there are 5,000 digits, not those of the committed result."""
    path = result_path("ablation")
    content = path.read_text()
    assert main(["ablation", "--only", "FlexNet", "--seeds", "7"]) == 2
    assert "has results of other settings: `counts` must be" in capsys.readouterr().err
    assert path.read_text() == content
