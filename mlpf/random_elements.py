"""Random elements that look enough like real ones to exercise every branch of a model; no physics may be read out of them."""

import numpy as np

from mlpf.schema import CONSUMER_DROPPED_TYPES, FEATURE_INDEX, NUM_FEATURES, ElementType

# What the consumer passes on, with rough shares of a pileup event.
SHARES = {
    ElementType.TRACK: 0.35,
    ElementType.ECAL: 0.25,
    ElementType.HCAL: 0.15,
    ElementType.GSF: 0.03,
    ElementType.HFEM: 0.08,
    ElementType.HFHAD: 0.08,
    ElementType.SC: 0.04,
    ElementType.HO: 0.02,
}
assert not set(SHARES) & set(CONSUMER_DROPPED_TYPES)
CALORIMETER_RADIUS = 150.0  # cm, about that of the CMS calorimeters; sets the size of cluster positions


def random_elements(rng: np.random.Generator, num_elements: int) -> np.ndarray:
    """``(N, 55) float32`` raw features of one event.

    Tracks and GSF carry momenta and charges, clusters positions in cm, superclusters pt = 0, as in the ntuple; one element in fifty has pt = energy = 0.
    What is not set on purpose is noise of width 0.1, so that no column is dead.
    """
    x = rng.normal(0.0, 0.1, (num_elements, NUM_FEATURES))
    element_type = rng.choice(list(SHARES), size=num_elements, p=list(SHARES.values()))
    forward = np.isin(element_type, (ElementType.HFEM, ElementType.HFHAD))
    charged = np.isin(element_type, (ElementType.TRACK, ElementType.GSF))
    eta = np.where(forward, rng.choice([-1, 1], num_elements) * rng.uniform(3.0, 5.0, num_elements), rng.uniform(-3.0, 3.0, num_elements))
    phi = rng.uniform(-np.pi, np.pi, num_elements)
    pt = rng.lognormal(0.0, 1.2, num_elements) * (rng.random(num_elements) > 0.02)
    direction = np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)])
    columns = {
        "type": element_type,
        "pt": np.where(element_type == ElementType.SC, 0.0, pt),
        "eta": eta,
        "sin_phi": np.sin(phi),
        "cos_phi": np.cos(phi),
        "energy": pt * np.cosh(eta),
        "charge": charged * rng.choice([-1, 1], num_elements),
        "layer": ~charged * rng.integers(-2, 14, num_elements),
        "depth": ~charged * rng.integers(0, 5, num_elements),
        "muon_dt_hits": 0.0,
        "muon_csc_hits": 0.0,
        "muon_type": (element_type == ElementType.TRACK) * (rng.random(num_elements) < 0.05) * 14,
        "num_hits": rng.integers(1, 30, num_elements),
        "corr_energy": ~charged * 1.1 * pt * np.cosh(eta),
        "time": ~charged * rng.normal(0.0, 3.0, num_elements),
        "pterror": 0.02 * pt,
    }
    columns |= dict(zip(("px", "py", "pz"), np.where(charged, pt, CALORIMETER_RADIUS) * direction, strict=True))
    columns |= {f"{angle}_{face}": charged * rng.normal(value, 0.1) for angle, value in (("eta", eta), ("phi", phi)) for face in ("ecal", "hcal")}
    for name, values in columns.items():
        x[:, FEATURE_INDEX[name]] = values
    return x.astype(np.float32)
