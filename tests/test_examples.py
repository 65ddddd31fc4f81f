"""Every program in ``examples/`` runs and prints its finding."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FINDINGS = {
    "denoise.py": "one adaptive 3x3 kernel",
    "export.py": "largest difference from torch",
    "resolution.py": "FlexConv, 32 pixels",
    "sequence.py": "learned",
    "train_plain.py": "step 500: loss",
}
"""A part of what each program prints at its end."""


@pytest.mark.filterwarnings("default")  # a program is free to see warnings of the packages that it uses
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    if path.name == "export.py":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert FINDINGS[path.name] in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_every_example_is_described():
    assert set(FINDINGS) == {path.name for path in EXAMPLES}
    for path in EXAMPLES:
        assert f"python examples/{path.name}" in path.read_text(encoding="utf-8")
