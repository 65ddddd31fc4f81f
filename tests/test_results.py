"""RESULTS.md says what results/*.json say."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABOUT = {
    "machine": {"threads": 1, "cpu": "a processor"},
    "versions": {"torch": "2"},
    "commit": "0123456789abcdef",
    "counts": {"train": 5000, "validation": 600, "test": 1000},
    "epochs": 2,
}
CLAIM = {"what": "What", "published": "nothing", "source": "-", "note": "A note."}


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "results" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sections():
    return load("sections")


def test_results_page_is_generated_from_the_results():
    assert (ROOT / "results" / "RESULTS.md").read_text() == load("collect").table()


def test_fits_show_the_best_in_bold_and_gaps_as_dashes(sections):
    common = {"budget": 1000, "parameters": 990, "steps_to_good": None}
    rows = [
        {**common, "target": "gabor:1", "network": "MAGNet", "psnr_mean": 40.0, "steps_to_good": 120},
        {**common, "target": "gabor:1", "network": "SIREN", "psnr_mean": 39.0},
        {**common, "target": "random", "network": "SIREN", "psnr_mean": 25.0},
    ]
    result = {**ABOUT, "rows": rows, "good": 30.0, "size": 33, "steps": 100, "rates": [0.01], "seeds": [0, 1]}
    text = "\n".join(sections.write_section("kernel-fitting", CLAIM, result))
    assert "| network | parameters | gabor:1 | random |" in text
    assert "| MAGNet | 990 | **40.0** (120) | - |" in text
    assert "| SIREN | 990 | 39.0 (-) | **25.0** (-) |" in text
    assert "mean over seeds 0, 1" in text
    assert "commit 0123456789." in text


def test_budgets_show_what_they_cost(sections):
    def one(budget, macs, test):
        runs = [{"seed": 0, "sizes": {"stem": [5, 3], "block": [3, 3]}}]
        return {"budget": budget, "macs_mean": macs, "test_mean": test, "test_sd": 0.001, "runs": runs}

    result = {**ABOUT, "budgets": [one(None, 9e7, 0.98), one(2e7, 2.2e7, 0.97)]}
    text = "\n".join(sections.write_section("size-budget", CLAIM, result))
    assert "| none | 90.0 M | 98.00 +- 0.10 % | 5x3, 3x3 |" in text
    assert "| 20 M | 22.0 M | 97.00 +- 0.10 % | 5x3, 3x3 |" in text
    assert "![accuracy against cost](size-budget.png)" in text


@pytest.mark.parametrize(
    ("unit", "cell", "gain"), [({}, "50.00 +- 1.00 %", "+2.00 points"), ({"unit": "dB"}, "0.50 +- 0.01 dB", "+0.02 dB")]
)
def test_networks_are_told_in_their_unit(sections, unit, cell, gain):
    net = {"test_mean": 0.5, "test_sd": 0.01, "parameters": 10, "macs": 2000, "latency": None, "latency_torch": 2e-5}
    nets = {"ours": {**net, "runs": [{"seed": 3}]}}
    comparisons = {"ours, equal parameters": {"rival": "plain", "gain": 0.02, "p": 0.1}}
    text = "\n".join(sections.write_section("t", CLAIM, {**ABOUT, **unit, "nets": nets, "comparisons": comparisons}))
    assert f"| ours | {cell} | 10 | 2 k | - | 20 us |" in text
    assert f"* ours, equal parameters: {gain} over plain, exact permutation test p = 0.100." in text
