"""Real data sets and numeric oracles that are not part of the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("FLEXKERN_SHARED") or Path(__file__).parents[2] / "shared")


def shared_path(*parts: str) -> Path:
    """A path in the folder of shared files; the test is skipped where it is absent."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent (FLEXKERN_SHARED names the folder of shared files)")
    return path
