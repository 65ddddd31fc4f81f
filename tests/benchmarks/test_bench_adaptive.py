"""The benchmark of adaptive convolutions: all contestants compute the same, and its results are whole."""

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks import adaptive_layers as adaptive
from benchmarks import adaptive_page
from benchmarks.__main__ import main
from benchmarks.adaptive_layers import CONTESTANTS, AdaptiveCase, claims, grid, make_run, measure_adaptive
from tolerances import assert_matches

ROOT = Path(__file__).parents[2]
SMALL = AdaptiveCase(2, 3, 4, 3, 6, "forward", 2.0)


@pytest.mark.parametrize("contestant", [name for name in CONTESTANTS if "compiled" not in name])
@pytest.mark.parametrize("kernel", [3, 5])
def test_contestants_compute_the_same(contestant, kernel):
    case = dataclasses.replace(SMALL, kernel=kernel)
    layer, x = case.build()
    assert_matches(make_run(case, contestant)(), layer(x), 1e-5)


def test_gradients_are_computed_too():
    case = dataclasses.replace(SMALL, direction="forward+backward")
    for name in ("ours", "unfold"):
        layer, x = case.build()
        CONTESTANTS[name](layer, x).sum().backward()
        assert x.grad is not None
    assert make_run(case, "ours")().shape == (2, 4, 6, 6)


def test_the_grid_is_that_of_the_text():
    cases = list(grid())
    assert {case.kernel for case in cases} == {3, 5, 7}
    assert {case.in_channels for case in cases} >= {1, 64}
    assert {case.side for case in cases} == {28, 64}
    assert [case.least for case in claims()] == [4.0, 3.0, 2.5, 2.0]


def test_results_are_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(adaptive.SUBSETS, "claims", lambda: iter([SMALL]))
    out = tmp_path / "found.json"
    assert main(["adaptive_layers", "--only", "ours,unfold", "--rounds", "1", "--out", str(out)]) == 0
    assert "ours" in capsys.readouterr().out
    (point,) = json.loads(out.read_text())["points"]
    for result in point["results"].values():
        assert result["seconds"] > 0
        assert result["error"] < 1e-6
    assert measure_adaptive("claims", out, only=["ours", "unfold"]) == [point]


def test_page_is_generated_from_the_results():
    assert (ROOT / "benchmarks" / "ADAPTIVE.md").read_text() == adaptive_page.page()


@pytest.mark.parametrize("words", [["--subset", "all"], ["--only", "theirs"]])
def test_errors(words, tmp_path, capsys):
    assert main(["adaptive_layers", "--out", str(tmp_path / "x.json"), *words]) == 2
    assert "known:" in capsys.readouterr().err
