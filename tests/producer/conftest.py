import numpy as np
import pytest
from toy_events import toy_events
from toy_graph import write_toy_model

# An index that is 1, and outside its one-element table, where any feature of the event is NaN.
FAILS_ON_NAN = (
    "pu = MatMul(clean, w_pileup)",
    "flags = Cast<to = 7>(nan) worst = ReduceMax<keepdims = 0>(flags) table = Constant<value_floats = [1.0]>() "
    "factor = Gather(table, worst) w = Mul(w_pileup, factor) pu = MatMul(clean, w)",
)


@pytest.fixture(scope="session")
def write_failing_model():
    """Writes a toy model that fails on events with a NaN in their features."""
    return lambda path: write_toy_model(path, [FAILS_ON_NAN])


@pytest.fixture(scope="session")
def events_with_nan():
    """Makes events of 20 elements each; the chosen ones have a NaN in one of them."""

    def make(num_events, bad, first_event=50):
        events = toy_events([20] * num_events, dropped_share=0.0, first_event=first_event)
        pterror = events["element_pterror"].copy()
        pterror[20 * np.array(bad, dtype=np.int64)] = np.nan
        return events.with_columns({"element_pterror": pterror})

    return make
