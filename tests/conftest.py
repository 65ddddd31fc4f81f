"""Every test starts from the same seed; warnings are errors (pyproject.toml)."""

import pytest
import torch

pytest.register_assert_rewrite("contracts", "tolerances")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def pytest_generate_tests(metafunc):
    if "conv_case" in metafunc.fixturenames:
        metafunc.parametrize("conv_case", metafunc.cls.conv_cases())
