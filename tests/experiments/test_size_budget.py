"""Budgets of learned sizes: what the command writes, how it continues, and files that are no results."""

import json

import pytest

from experiments.__main__ import main
from experiments.common import digits
from experiments.size_budget import run as size_budget


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setattr(digits, "COUNTS", {"train": 128, "validation": 32, "test": 32})


def read_budgets(out):
    return json.loads(out.read_text())["budgets"]


def test_a_tight_budget_costs_less(tmp_path, monkeypatch, capsys):
    out = tmp_path / "budget.json"
    monkeypatch.setattr(size_budget, "BATCH", 16)
    words = ["--only", "none,5000000", "--seeds", "0,1", "--epochs", "5", "--out", str(out)]
    assert main(["size-budget", *words]) == 0
    assert "budget 5000000, seed 1" in capsys.readouterr().out
    free, tight = read_budgets(out)
    assert (free["budget"], tight["budget"]) == (None, 5e6)
    assert tight["macs_mean"] < free["macs_mean"]
    assert out.with_suffix(".png").stat().st_size > 1000
    assert main(["size-budget", "--only", "7", "--out", str(out)]) == 2
    assert "unknown contestant `7`; known: none, 40000000" in capsys.readouterr().err


def test_continues_with_missing_runs(tmp_path, capsys):
    out = tmp_path / "budget.json"
    words = ["size-budget", "--epochs", "1", "--out", str(out)]
    assert main([*words, "--only", "5000000", "--seeds", "1"]) == 0
    first = read_budgets(out)
    capsys.readouterr()
    assert main([*words, "--only", "none,5000000", "--seeds", "1"]) == 0
    assert "budget 5000000" not in capsys.readouterr().out
    budgets = read_budgets(out)
    assert [entry["budget"] for entry in budgets] == [None, 5e6]
    assert budgets[1:] == first
    assert main(["size-budget", "--epochs", "2", "--out", str(out)]) == 2
    assert "has results of other settings: `epochs` must be 2, got 1" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["no json", "[]"])
def test_files_that_are_no_results(content, tmp_path, capsys):
    path = tmp_path / "notes.json"
    path.write_text(content)
    assert main(["size-budget", "--out", str(path)]) == 2
    assert "does not hold results" in capsys.readouterr().err
    assert path.read_text() == content
