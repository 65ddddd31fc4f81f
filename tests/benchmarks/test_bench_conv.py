"""A run of measurements: what it writes, how it continues, what it says; the page made from it; the command line."""

import json
import math
import sys
from pathlib import Path

import pytest

from benchmarks import convolutions as conv
from benchmarks import pages, problems
from benchmarks.__main__ import main
from benchmarks.steps import CASES
from benchmarks.store import ResultsFile, read_points
from benchmarks.summary import slope, standing, standings, summary_lines
from flexkern.app.measure import timing
from flexkern.engines import ENGINES

ROOT = Path(__file__).parents[2]
ONLY = ("auto", "direct", "fft", "torch", "authors")


@pytest.fixture(autouse=True)
def _tiny_subsets(monkeypatch):
    points = [
        problems.make_point("dense", 1, (32,), 9, backward=True, channels=2),
        problems.make_point("dense", 1, (64,), 9, backward=True, channels=2),
        problems.make_point("depthwise", 2, (8, 8), 3, backward=False, channels=2),
    ]
    monkeypatch.setattr(problems, "_quick", lambda: points)


def measure(path, **options):
    return conv.measure_subset("quick", path, only=ONLY, rounds=2, **options)


def test_json_round_trip(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "SHORT", math.inf)  # on a busy machine nothing may count as short
    monkeypatch.setattr(timing, "BEHIND", math.inf)
    path, lines = tmp_path / "results" / "conv-quick.json", []
    entries = measure(path, say=lines.append)
    assert len(lines) == len(entries) == 3
    written = json.loads(path.read_text())
    assert read_points(path) == entries == written["points"]
    assert {"command", "versions", "commit", "machine", "date", "seed", "rounds", "subset"} <= set(written)
    first, _, second = (entry["results"] for entry in entries)
    assert set(first["auto"]["errors"]) == {"output", "input", "weight"}
    assert len(first["auto"]["engines"]) == 3
    assert first["auto"]["seconds"] > 0
    assert first["auto"]["rounds"] == 2 * timing.SHORT_FACTOR
    assert second["authors"] == {"skipped": "the same as torch"}


def test_finished_points_are_not_measured_again(tmp_path, monkeypatch):
    path = tmp_path / "conv.json"
    before = measure(path)
    monkeypatch.setattr(conv, "measure_point", lambda *_, **__: pytest.fail("measured again"))
    assert measure(path) == before


def test_another_commit_thread_count_or_contestant_is_measured_again(tmp_path):
    path = tmp_path / "conv.json"
    measure(path)
    name = problems.subset("quick")[0].name
    file = ResultsFile(path)
    assert file.has(name, ONLY)
    assert not file.has(name, [*ONLY, "julius"])
    file.stamp["threads"] += 1
    assert not file.has(name, ONLY)


def test_the_clock_stops_cleanly(tmp_path):
    lines = []
    assert measure(tmp_path / "conv.json", minutes=0, say=lines.append) == []
    assert "3 points to go" in lines[-1]


def test_a_file_of_something_else_is_not_overwritten(tmp_path):
    path = tmp_path / "conv.json"
    for text in ("[1]", "garbage", '{"points": [{"name": 1}]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"not a file of benchmark results"):
            measure(path)
        assert path.read_text() == text


def entry(name, **seconds):
    results = {
        key: {"seconds": value, "iqr": 0.0, "rounds": 5, "errors": {"output": 1e-7}} for key, value in seconds.items()
    }
    return {"name": name, "results": results}


def test_summary_counts_losses_beside_wins():
    entries = [entry("good", auto=1.0, fft=1.1, torch=3.0), entry("bad", auto=2.0, torch=1.0), entry("alone", auto=1.0)]
    entries[0]["results"]["julius"] = {"failed": "wrong result"}
    assert [place.ratio for place in standings(entries)] == [2.0, 1.0]
    text = "\n".join(summary_lines(entries))
    assert "at 50.0 % of 2 points and layouts; at worst 2.00x slower" in text
    assert "2.00x slower than torch: bad" in text
    assert "torch: faster at 1 of 2 points, 1.75x (median)" in text
    assert "good: julius: wrong result" in text
    assert "fft: faster" not in text
    assert summary_lines([entry("alone", auto=1.0)]) == ["no point has both `auto` and another contestant."]


def test_each_layout_is_compared_by_itself():
    last = {"auto-channels-last": 0.4, "torch-channels-last": 0.5}
    places = standings([entry("images", auto=1.0, torch=2.0, **last)])
    assert [(place.name, place.rival) for place in places] == [
        ("images", "torch"),
        ("images channels last", "torch-channels-last"),
    ]
    assert all(place.ratio == 1 for place in places)


def test_slope():
    assert slope({1: 1.0, 2: 4.0, 4: 16.0}) == pytest.approx(2)
    assert slope({1: 1.0}) is None


def test_report_of_a_tiny_run(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    entries = measure(tmp_path / "results" / "conv-quick.json")
    series = {"1-D, kernel 9: length": problems.subset("quick")[:2]}
    monkeypatch.setattr(pages, "growth_series", lambda: series)
    pages.write_pages(tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    for line in summary_lines(entries):
        assert line in text
    assert all(f"| {entry['name']} |" in text for entry in entries)
    assert "| n log n | 1.26 | 2 |" in text
    assert str(tmp_path) not in text
    figure = tmp_path / "results" / "growth.svg"
    before = figure.read_bytes()
    pages.write_pages(tmp_path)
    assert figure.read_bytes() == before  # the same results give the same files


def test_report_of_steps(tmp_path):
    file = ResultsFile(tmp_path / "step.json", seed=0, rounds=5)
    for case, theirs in zip(CASES, (1.1, 6.0, 21.0, None), strict=False):
        results = {"ours": {"seconds": 1 + case.width, "iqr": 0.1, "rounds": 5, "memory": 3 * 2**20}}
        results["authors"] = (
            {"seconds": theirs, "iqr": 0, "rounds": 1, "memory": 2**21} if theirs else {"skipped": "slow"}
        )
        file.add({"name": case.name, "width": case.width, "sizes": {"stem": [5, 5]}, "results": results})
    text = pages.page(tmp_path)
    assert "| flexnet7 64x3x32x32 width 0.075: authors / ours | 1.02 | >= 1.2 | **no** |" in text
    assert "| flexnet7 64x3x32x32 width 0.15: authors / ours | 5.22 | >= 5 | yes |" in text
    assert "| flexnet7, ours: widest / narrowest window | 1.4 | <= 2 | yes |" in text
    assert "| memory of a step: ours / authors, at worst of the 3 (of 4) that have both | 1.5 | <= 1 | **no** |" in text
    assert "| flexnet7 64x3x32x32 width 0.5 | 5x5 | 1.5 s (0.1) | 3 MiB | slow |  |  |" in text
    assert "| 6 s (0, 1 run) | 2 MiB |" in text


@pytest.mark.parametrize("folder", ["benchmarks", "benchmarks/epyc"])
def test_page_is_generated_from_the_results(folder):
    assert (ROOT / folder / "RESULTS.md").read_text() == pages.page(ROOT / folder / "results")


def test_command_line(tmp_path, capsys):
    out = tmp_path / "conv.json"
    assert main(["convolutions", "--only", "auto,torch", "--rounds", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "[3/3] depthwise" in printed
    assert "auto is within 15 %" in printed
    assert str(tmp_path) not in json.loads(out.read_text())["command"]


def test_a_missing_package_is_no_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "julius", None)
    out = tmp_path / "conv.json"
    assert main(["convolutions", "--only", "auto,julius", "--rounds", "1", "--out", str(out)]) == 0
    assert "not installed" in read_points(out)[0]["results"]["julius"]["skipped"]
    assert "no comparison" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convolutions", "--only", "auto,torhc"], "unknown contestant 'torhc'; did you mean 'torch'?"),
        (["convolutions", "--subset", "fast"], "`subset` must be one of quick, full, claims, growth, got 'fast'"),
        (["convolutions", "--threads", "0"], "`--threads` must be positive, got 0"),
        (["steps", "--rounds", "0"], "`--rounds` must be positive, got 0"),
        (["walk"], "invalid choice: 'walk'"),
        ([], "required: NAME"),
    ],
)
def test_user_errors_are_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def planned(**seconds):
    """A point with contestants' times; auto runs dft in every pass."""
    results = {name.replace("_last", "-channels-last"): {"seconds": value} for name, value in seconds.items()}
    for name, result in results.items():
        engine = "dft" if name == "auto" else "direct" if name.startswith("auto") else name
        if name.startswith("auto") or name in ENGINES:
            result |= {"engines": [engine] * 3, "channels_last": [name.endswith("last")] * 3}
    return {"name": "point", "results": results}


def test_the_choice_counts_equal_plans_as_one():
    place = standing(planned(auto=2.0, dft=1.0, fft=1.5, torch=4.0))
    assert (place.rival, place.ratio, place.choice) == ("dft", 2.0, 1.0)
    assert standing(planned(auto=2.0, dft=1.8, fft=1.5)).choice == pytest.approx(1.2)
    assert standing(planned(auto_last=2.0, torch_last=1.0), "-channels-last").choice is None  # torch is what it chose
    assert standing(planned(auto=2.0, direct=1.0)).choice == 2.0


def test_a_sample_takes_every_nth_point(tmp_path):
    path = tmp_path / "sample.json"
    entries = conv.measure_subset("quick", path, only=["auto"], every=2, rounds=1)
    assert [one["name"] for one in entries] == [point.name for point in problems.subset("quick")[::2]]
    assert json.loads(path.read_text())["every"] == 2
