import numpy as np
import pytest

from mlpf.config import parse_section
from mlpf.errors import ConfigError
from mlpf.samples.validation.config import Binning, ValidationConfig


def test_edges_are_equal_steps_of_the_value_or_its_logarithm():
    np.testing.assert_allclose(Binning(low=-1, high=1, num_bins=5).edges, [-1, -0.6, -0.2, 0.2, 0.6, 1])
    np.testing.assert_allclose(Binning(low=1, high=32, num_bins=5, logarithmic=True).edges, [1, 2, 4, 8, 16, 32])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chunks": 1}, "chunks: Input should be greater than or equal to 2"),
        ({"threshold": 0}, "threshold"),
        ({"pt": {"low": 0, "high": 1, "num_bins": 10, "logarithmic": True}}, "low must lie below high, and above 0"),
        ({"eta": {"low": -1, "high": 1, "num_bins": 12}}, "multiple of 5"),
        ({"multiplicity_edges": [10, 5]}, "must grow"),
        ({"variables": ["type", "type"]}, "variables: each once"),
        ({"variables": ["pt"]}, "variables"),
        ({"min_event": 3}, "did you mean 'min_events'"),
    ],
)
def test_impossible_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        parse_section({"validation": values}, "validation", ValidationConfig)
