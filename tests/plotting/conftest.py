import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.metrics.summary import Metrics


@pytest.fixture(scope="session")
def results(random_dataset):
    """`metrics.json` of a model without any candidates, and rule-based candidates."""
    events = random_dataset(30)
    nothing = Events({"mlpfcandidate_element": []}, {"mlpfcandidate": [0] * 31}, 30, layout=schema.CANDIDATES)
    metrics = Metrics()
    metrics.update(events, nothing)
    return {"model": "runs/<best>", "dataset": "work/ttbar", "split": "test", "mlpf": "0.1", **metrics.results()}
