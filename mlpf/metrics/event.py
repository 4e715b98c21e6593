"""Per event: missing transverse momentum, scalar sum of jets, number of candidates."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpf.events import Events, event_index
from mlpf.jets import HT_MAX_ETA, HT_MIN_PT
from mlpf.metrics import binning
from mlpf.metrics.jets import JetSet
from mlpf.metrics.sums import MeanSums, SpreadSums, Sums
from mlpf.metrics.systems import MEASURED, Particles, measured_positions


def missing_momentum(particles: Particles) -> tuple[np.ndarray, np.ndarray]:
    """``(B,)`` x and y [GeV] of what balances the particles of each event."""
    event, num_events = event_index(particles.offsets), len(particles.offsets) - 1
    x, y = (-np.bincount(event, particles.pt * wave(particles.phi), minlength=num_events) for wave in (np.cos, np.sin))
    return x, y


def scalar_sum(jets: JetSet) -> np.ndarray:
    """``(B,)`` HT [GeV]: sum of pt of the central jets above 30 GeV."""
    used = (jets.pt > HT_MIN_PT) & (np.abs(jets.eta) < HT_MAX_ETA)
    return np.bincount(event_index(jets.offsets)[used], jets.pt[used], minlength=len(jets.offsets) - 1)


class MissingMomentumSums:
    """Residuals of px and py together, and the ratio, against generated missing momentum and pileup collisions; the ratio of HT.

    Attributes:
        parts: what adds up.
    """

    def __init__(self) -> None:
        variables = {"genmet": binning.MET, "vertices": binning.VERTICES}
        self._residual = SpreadSums(1, variables, binning.FINE_MOMENTUM, binning.RESIDUAL, relative=False)
        self._ratio = SpreadSums(1, variables, binning.FINE_RESPONSE)
        self._ht_ratio = SpreadSums(1, {}, binning.FINE_RESPONSE)
        self.parts: dict[str, Sums] = {"residual": self._residual, "ratio": self._ratio, "ht_ratio": self._ht_ratio}

    def update(self, events: Events, found: Particles, generated_ht: np.ndarray, ht: np.ndarray, vertices: np.ndarray) -> None:
        """Add events.

        Args:
            events: of a dataset.
            found: their particles.
            generated_ht, ht: ``(B,)`` HT [GeV].
            vertices: ``(B,)`` bin in `binning.VERTICES` of each event.
        """
        genmet, phi = events["genmet_pt"].astype(np.float64), events["genmet_phi"].astype(np.float64)
        met_x, met_y = missing_momentum(found)
        bins = {"genmet": binning.bin_index(genmet, binning.MET), "vertices": vertices}
        for residual in (met_x - genmet * np.cos(phi), met_y - genmet * np.sin(phi)):
            self._residual.add(residual, bins, np.zeros(len(residual), dtype=np.int64))
        large = genmet > binning.MET[0]
        ratio = np.hypot(met_x, met_y)[large] / genmet[large]
        self._ratio.add(ratio, {name: values[large] for name, values in bins.items()}, np.zeros(len(ratio), dtype=np.int64))
        with_jets = generated_ht > 0
        self._ht_ratio.add(ht[with_jets] / generated_ht[with_jets], {}, np.zeros(np.count_nonzero(with_jets), dtype=np.int64))

    def to_json(self, variables: Sequence[str]) -> dict[str, Any]:
        """The section of a report; ``variables``: those of genmet and vertices that are shown."""
        residual, ratio, ht_ratio = self._residual.to_json(variables)[0], self._ratio.to_json(variables)[0], self._ht_ratio.to_json(())[0]
        return {"residual": residual, "ratio": ratio, "ht_ratio": ht_ratio["all"]}


class MultiplicitySums:
    """Candidates per event and class of `MEASURED`: their number, and its difference to that of the targets.

    Attributes:
        parts: what adds up.
    """

    def __init__(self) -> None:
        self._number, self._mean_difference = MeanSums(len(MEASURED), {}), MeanSums(len(MEASURED), {})
        self._difference = SpreadSums(len(MEASURED), {}, binning.FINE_NUMBER, relative=False)
        self.parts: dict[str, Sums] = {"number": self._number, "mean_difference": self._mean_difference, "difference": self._difference}

    def update(self, truth: Particles, found: Particles) -> None:
        """Add events: their targets and their candidates."""
        number = multiplicity(found)
        difference = number - multiplicity(truth)
        category = np.tile(np.arange(len(MEASURED)), len(number))
        self._number.add(number.ravel(), {}, category)
        for sums in (self._mean_difference, self._difference):
            sums.add(difference.ravel(), {}, category)

    def to_json(self) -> dict[str, Any]:
        """The section of a report: class -> mean number, mean and IQR of the difference."""
        entries = zip(MEASURED, self._number.to_json(()), self._mean_difference.to_json(()), self._difference.to_json(()), strict=True)
        return {name: {"number": number["all"], "difference": {"mean": mean["all"], "iqr": spread["all"]["iqr"]}} for name, number, mean, spread in entries}


def multiplicity(particles: Particles) -> np.ndarray:
    """``(B, 7) int64`` particles of each event, by class of `MEASURED`."""
    position, num_events = measured_positions(particles.category), len(particles.offsets) - 1
    cell = event_index(particles.offsets) * len(MEASURED) + position
    return np.bincount(cell[position >= 0], minlength=num_events * len(MEASURED)).reshape(num_events, len(MEASURED))
