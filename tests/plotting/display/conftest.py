import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events


def candidates_of(event, rows, scale=1.1):
    """Candidates on some elements of a dataset's event, with ``scale`` times their pt and a little beside them."""
    n = len(rows)
    columns = {"mlpfcandidate_eta": event["element_eta"][rows] + 0.05, "mlpfcandidate_phi": event["element_phi"][rows]}
    columns |= {f"mlpfcandidate_{name}": scale * event[f"element_{name}"][rows] for name in ("pt", "energy")}
    columns |= {"mlpfcandidate_pdgid": np.full(n, 130), "mlpfcandidate_charge": np.zeros(n), "mlpfcandidate_element": event["element_index"][rows]}
    columns |= {"mlpfcandidate_score": np.linspace(0.5, 0.9, n), "mlpfcandidate_pileup": np.linspace(0.1, 0.4, n)}
    columns |= {name: event[name] for name in schema.IDENTITY}
    return Events(columns, {"mlpfcandidate": [0, n]}, 1, layout=schema.CANDIDATES)


@pytest.fixture(scope="session")
def make_candidates():
    return candidates_of
