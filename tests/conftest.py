"""Settings that all tests share."""

from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import settings

mpl.use("Agg")
# Kernels compile at their first call, so a deadline per example says nothing.
settings.register_profile("mlpf", deadline=None, derandomize=True)
settings.load_profile("mlpf")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that the tests belong to."""
    return ROOT
