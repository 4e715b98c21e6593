"""Per event: missing transverse momentum, scalar sum of jets, number of candidates."""

from typing import Any

import numpy as np

from mlpf.events import Events, event_index
from mlpf.jets import HT_MAX_ETA, HT_MIN_PT
from mlpf.metrics import binning
from mlpf.metrics.jets import JetSet
from mlpf.metrics.particles import Table
from mlpf.metrics.systems import MEASURED, Particles
from mlpf.metrics.uncertainty import mean, per_bin, spread


def event_table(events: Events, particles: Particles, jets: JetSet, generated: JetSet) -> Table:
    """One row per event: generated and reconstructed missing momentum and HT [GeV], number of candidates per class."""
    event, num_events = event_index(particles.offsets), len(events)
    genmet, phi = events["genmet_pt"].astype(np.float64), events["genmet_phi"]
    met_x = -np.bincount(event, particles.pt * np.cos(particles.phi), minlength=num_events)
    met_y = -np.bincount(event, particles.pt * np.sin(particles.phi), minlength=num_events)
    return {
        "genmet": genmet,
        "met": np.hypot(met_x, met_y),
        "met_x_residual": met_x - genmet * np.cos(phi),
        "met_y_residual": met_y - genmet * np.sin(phi),
        "gen_ht": _ht(generated),
        "ht": _ht(jets),
        **{f"num_{name}": np.bincount(event[particles.category == category], minlength=num_events) for name, category in MEASURED.items()},
    }


def _ht(jets: JetSet) -> np.ndarray:
    used = (jets.pt > HT_MIN_PT) & (np.abs(jets.eta) < HT_MAX_ETA)
    return np.bincount(event_index(jets.offsets)[used], jets.pt[used], minlength=len(jets.offsets) - 1)


def summarise_met(table: Table) -> dict[str, Any]:
    """Residuals of px and py together, and the ratio, in bins of the generated missing momentum; the ratio of HT."""
    residual = np.concatenate([table["met_x_residual"], table["met_y_residual"]])
    large = table["genmet"] > binning.MET[0]
    ratio = table["met"][large] / table["genmet"][large]
    with_jets = table["gen_ht"] > 0
    residuals, in_bins = spread(residual), per_bin(residual, np.tile(table["genmet"], 2), binning.MET)
    for estimates in (residuals, in_bins):
        del estimates["iqr_over_median"]  # the median of a difference is near 0
    return {
        "residual": {
            "all": {name: estimate.to_json() for name, estimate in residuals.items()},
            "genmet": {name: estimate.to_json() for name, estimate in in_bins.items()},
            "histogram": np.histogram(residual, binning.RESIDUAL)[0].tolist(),
        },
        "ratio": {
            "all": {name: estimate.to_json() for name, estimate in spread(ratio).items()},
            "genmet": {name: estimate.to_json() for name, estimate in per_bin(ratio, table["genmet"][large], binning.MET).items()},
        },
        "ht_ratio": {name: estimate.to_json() for name, estimate in spread(table["ht"][with_jets] / table["gen_ht"][with_jets]).items()},
    }


def summarise_multiplicity(table: Table, truth: Table) -> dict[str, Any]:
    """Candidates per event and class: mean number, and mean and IQR of the difference to the targets' number."""
    summary = {}
    for name in MEASURED:
        number = table[f"num_{name}"]
        difference = number - truth[f"num_{name}"]
        summary[name] = {
            "number": mean(number).to_json(),
            "difference": {"mean": mean(difference).to_json(), "iqr": spread(difference)["iqr"].to_json()},
        }
    return summary
