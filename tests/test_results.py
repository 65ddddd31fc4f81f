"""RESULTS.md says what results/*.json say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_results_page_is_generated_from_the_results():
    spec = importlib.util.spec_from_file_location("collect", ROOT / "results" / "collect.py")
    collect = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(collect)
    assert (ROOT / "results" / "RESULTS.md").read_text() == collect.table()
