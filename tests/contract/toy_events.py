"""Random events of the ntuple's layout, with all element types, dropped ones among them."""

import numpy as np

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.io.ntuple import write_ntuple
from mlpf.random_elements import random_elements
from mlpf.schema import ElementType

DROPPED = (ElementType.PS1, ElementType.PS2, ElementType.BREM)


def toy_events(counts, seed=0, dropped_share=0.2, first_event=1):
    """Events with so many elements each; a share of them of types that the consumer drops."""
    rng = np.random.default_rng(seed)
    x = random_elements(rng, sum(counts))
    columns = {
        f"element_{name}": x[:, i].astype(schema.NTUPLE.dtype(f"element_{name}"))
        for name, i in schema.FEATURE_INDEX.items()
        if name not in ("sin_phi", "cos_phi")
    }
    columns["element_phi"] = np.arctan2(x[:, schema.FEATURE_INDEX["sin_phi"]], x[:, schema.FEATURE_INDEX["cos_phi"]])
    dropped = rng.random(len(x)) < dropped_share
    columns["element_type"] = np.where(dropped, rng.choice(DROPPED, len(x)), columns["element_type"])
    columns |= {"event": first_event + np.arange(len(counts)), "run": np.full(len(counts), 3), "lumi": np.full(len(counts), 7)}
    return Events(columns, {"element": offsets_from_counts(np.array(counts))}, len(counts), "toy")


def write_toy_inputs(folder):
    """Ntuples ``a.root`` of four events, one of them empty, and ``b.root`` of two, which lacks a column."""
    write_ntuple(folder / "a.root", [toy_events([30, 0, 8, 12], seed=1, first_event=100)])
    events = toy_events([5, 3], seed=2, first_event=7)
    columns = {name: values for name, values in events.columns.items() if name != "element_muon_type"}
    write_ntuple(folder / "b.root", [Events(columns, events.offsets, 2)])
