"""Every test starts from the same seed; warnings are errors (pyproject.toml)."""

import hypothesis
import pytest
import torch
from _pytest.doctest import DoctestModule

pytest.register_assert_rewrite(
    "contracts.engine",
    "contracts.engine_laws",
    "contracts.generator",
    "contracts.layer",
    "tolerances",
)


# The same examples in every run: a failure belongs to the change that made it.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(autouse=True, scope="session")
def _shipped_costs(tmp_path_factory):
    """Plans do not depend on what was tuned on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXKERN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """Collect the examples of docstrings from the packages only: test modules have none."""
    collectors = yield
    return [collector for collector in collectors if not isinstance(collector, DoctestModule)]


def pytest_generate_tests(metafunc):
    if "conv_case" in metafunc.fixturenames:
        metafunc.parametrize("conv_case", metafunc.cls.conv_cases())
