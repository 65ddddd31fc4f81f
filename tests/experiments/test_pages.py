"""Notes and overview have what the results have."""

import pytest

from experiments.common.catalogue import FOLDER, experiment_names
from experiments.common.page import notes_page, overview_page, paragraph, read_notes, replace_generated
from experiments.common.tables import result_lines

FACTS = {
    "machine": {"threads": 1, "cpu": "a processor"},
    "versions": {"torch": "2"},
    "commit": "0123456789abcdef",
    "counts": {"train": 5000, "validation": 600, "test": 1000},
    "epochs": 2,
}


@pytest.mark.parametrize("name", experiment_names())
def test_notes_are_generated_from_the_result(name):
    assert notes_page(name) == read_notes(name)
    assert (FOLDER / name / "result.json").is_file() or name == "resnet18"
    assert ("(result.png)" in read_notes(name)) == (FOLDER / name / "result.png").is_file()


def test_the_overview_has_every_experiment():
    page = overview_page()
    assert page == (FOLDER / "README.md").read_text()
    for name in experiment_names():
        assert f"[{name}]({name}/notes.md)" in page


def test_pages_without_their_parts_are_refused():
    with pytest.raises(ValueError, match=r"begins with \*\*Claim.\*\*"):
        paragraph("# Title\n", "Claim")
    with pytest.raises(ValueError, match="the page must have the lines"):
        replace_generated("# Title\n", [])


def test_fits_show_the_best_in_bold_and_gaps_as_dashes():
    shared = {"budget": 1000, "parameters": 990, "steps_to_good": None}
    rows = [
        {**shared, "target": "gabor:1", "network": "MAGNet", "psnr_mean": 40.0, "steps_to_good": 120},
        {**shared, "target": "gabor:1", "network": "SIREN", "psnr_mean": 39.0},
        {**shared, "target": "random", "network": "SIREN", "psnr_mean": 25.0},
    ]
    result = {**FACTS, "rows": rows, "good": 30.0, "size": 33, "steps": 100, "rates": [0.01], "seeds": [0, 1]}
    text = "\n".join(result_lines(result))
    assert "| network | parameters | gabor:1 | random |" in text
    assert "| MAGNet | 990 | **40.0** (120) | - |" in text
    assert "| SIREN | 990 | 39.0 (-) | **25.0** (-) |" in text
    assert "mean over seeds 0, 1" in text
    assert "commit 0123456789." in text


def test_budgets_show_what_they_cost():
    def entry(budget, macs, test):
        runs = [{"seed": 0, "sizes": {"stem": [5, 3], "block": [3, 3]}}]
        return {"budget": budget, "macs_mean": macs, "test_mean": test, "test_sd": 0.001, "runs": runs}

    result = {**FACTS, "budgets": [entry(None, 9e7, 0.98), entry(2e7, 2.2e7, 0.97)]}
    text = "\n".join(result_lines(result))
    assert "| none | 90.0 M | 98.00 +- 0.10 % | 5x3, 3x3 |" in text
    assert "| 20 M | 22.0 M | 97.00 +- 0.10 % | 5x3, 3x3 |" in text
    assert "![accuracy against cost](result.png)" in text


@pytest.mark.parametrize(
    ("unit", "cell", "gain"), [({}, "50.00 +- 1.00 %", "+2.00 points"), ({"unit": "dB"}, "0.50 +- 0.01 dB", "+0.02 dB")]
)
def test_networks_are_described_in_their_unit(unit, cell, gain):
    net = {"test_mean": 0.5, "test_sd": 0.01, "parameters": 10, "macs": 2000, "latency": None, "latency_torch": 2e-5}
    nets = {"ours": {**net, "runs": [{"seed": 3}]}}
    comparisons = {"ours, equal parameters": {"rival": "plain", "gain": 0.02, "p": 0.1}}
    text = "\n".join(result_lines({**FACTS, **unit, "nets": nets, "comparisons": comparisons}))
    assert f"| ours | {cell} | 10 | 2 k | - | 20 us |" in text
    assert f"* ours, equal parameters: {gain} over plain, exact permutation test p = 0.100." in text
