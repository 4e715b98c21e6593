"""Element columns -> the consumer's 55 raw features, in its order; which of them a model scales, and the limits beyond which a value is a mistake."""

import numpy as np

from mlpf import schema
from mlpf.events import Events

# |value| above these is a mistake upstream: eta 10 is beyond any calorimeter; 1e6 GeV, cm or ns exceed everything a detector reports.
MAX_ABS_ETA = 10.0
MAX_ABS_VALUE = 1e6
_ETAS = ("eta", "eta_ecal", "eta_hcal")
_DIRECTIONS = ("sin_phi", "cos_phi")
FEATURE_LIMITS: tuple[float, ...] = tuple(MAX_ABS_ETA if name in _ETAS else 1.0 if name in _DIRECTIONS else MAX_ABS_VALUE for name in schema.FEATURES)
"""Largest magnitude of each feature."""
ANGLE_FEATURES = ("phi_ecal", "phi_hcal")
"""They enter a model as sine and cosine, since an angle jumps at +-pi."""
SCALED_FEATURES: tuple[str, ...] = tuple(name for name in schema.FEATURES if name != "type" and name not in ANGLE_FEATURES)
"""All others but the type, which is embedded, enter scaled."""


CLASS_POSITION = np.full(max(schema.CLASS_IDS) + 1, -1, dtype=np.int64)
"""Position in `schema.CLASSES` by class id, -1 for ids that are none."""
CLASS_POSITION[list(schema.CLASS_IDS)] = np.arange(schema.NUM_CLASSES)


def class_positions(class_id: np.ndarray) -> np.ndarray:
    """``(N,) int64``: positions in `schema.CLASSES` of any integers, -1 for those that are no class."""
    possible = (class_id >= 0) & (class_id < len(CLASS_POSITION))
    return np.where(possible, CLASS_POSITION[np.where(possible, class_id, 0)], -1)


def consumer_elements(element_type: np.ndarray) -> np.ndarray:
    """``(N,) bool``: elements that the consumer passes to the model (all but PS1, PS2 and BREM)."""
    return ~np.isin(element_type, schema.CONSUMER_DROPPED_TYPES)


def feature_column(events: Events, name: str) -> np.ndarray:
    """``(N,) float32`` one raw feature of all elements of an ntuple's or a dataset's events; 0 where the file lacks its column."""
    if name == "sin_phi":
        return np.sin(events["element_phi"])
    if name == "cos_phi":
        return np.cos(events["element_phi"])
    return events[f"element_{name}"].astype(np.float32, copy=False)


def element_features(events: Events) -> np.ndarray:
    """Raw features of all elements of an ntuple's or a dataset's events.

    Returns:
        ``(N, 55) float32`` in the order of `schema.FEATURES`; columns that the file lacks are 0, nothing is cleaned or scaled.
    """
    features = np.empty((events.size("element"), schema.NUM_FEATURES), dtype=np.float32)
    for i, name in enumerate(schema.FEATURES):
        features[:, i] = feature_column(events, name)
    return features
