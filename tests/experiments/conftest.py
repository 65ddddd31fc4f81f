"""Experiments in tests time what they compare only once."""

import pytest

from experiments.common import costs


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch):
    for name in ("ROUNDS", "LATENCY_ROUNDS", "STEP_ROUNDS"):
        monkeypatch.setattr(costs, name, 1)
