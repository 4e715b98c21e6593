"""Element columns -> the consumer's 55 raw features, in its order."""

import numpy as np

from mlpf import schema
from mlpf.events import Events


def consumer_elements(element_type: np.ndarray) -> np.ndarray:
    """``(N,) bool``: elements that the consumer passes to the model (all but PS1, PS2 and BREM)."""
    return ~np.isin(element_type, schema.CONSUMER_DROPPED_TYPES)


def element_features(events: Events) -> np.ndarray:
    """Raw features of all elements of an ntuple's or a dataset's events.

    Returns:
        ``(N, 55) float32`` in the order of `schema.FEATURES`; columns that the file lacks are 0, nothing is cleaned or scaled.
    """
    phi = events["element_phi"]
    features = np.empty((len(phi), schema.NUM_FEATURES), dtype=np.float32)
    for i, name in enumerate(schema.FEATURES):
        if name == "sin_phi":
            features[:, i] = np.sin(phi)
        elif name == "cos_phi":
            features[:, i] = np.cos(phi)
        else:
            features[:, i] = events[f"element_{name}"]
    return features
