"""The element columns that rule-based particle flow looks at, cleaned and in double precision."""

from typing import NamedTuple

import numpy as np

from mlpf.events import Events
from mlpf.schema import ElementType

# Without these nothing can be reconstructed; a non-finite value is the user's to repair.
NEEDED_COLUMNS = ("element_type", "element_pt", "element_eta", "element_phi", "element_energy", "element_charge",
                  "element_eta_ecal", "element_phi_ecal", "element_eta_hcal", "element_phi_hcal")  # fmt: skip
# Refinements: non-finite values (a CMSSW cluster of one hit has NaN widths) count as not given.
OPTIONAL_COLUMNS = ("element_corr_energy", "element_pterror", "element_etaerror", "element_phierror", "element_num_hits", "element_muon_dt_hits",
                    "element_muon_csc_hits", "element_muon_type", "element_px", "element_py", "element_pz", "element_vz", "element_trajpoint")  # fmt: skip
COLUMNS = NEEDED_COLUMNS + OPTIONAL_COLUMNS


class Elements(NamedTuple):
    """N elements of B events; units and meaning as the columns of the same name in `schema`.

    Attributes:
        offsets: ``(B + 1,) int64`` event boundaries.
        type: ``(N,) int32`` `schema.ElementType`; all others are ``(N,) float64``.
        energy: of ECAL clusters as that of a photon, ``corr_energy`` where that is positive, else ``energy``; of all others ``energy``, which is the momentum
            of tracks and GSF. CMSSW calibrates no other clusters (``corr_energy`` is -1 there): particle flow does, see `calibration`.
        raw_energy: ``energy`` of the ntuple.
        eta_width, phi_width: spread of the hits of a cluster (unweighted), of the clusters of a supercluster (weighted); 0 where not given.
        muon_hits: drift-tube and cathode-strip hits together.
        x, y, z: position of clusters [cm]; 0 where the ntuple has none.
        trajpoint: where on its track a BREM element lies, the number of the tangent.
    """

    offsets: np.ndarray
    type: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray
    raw_energy: np.ndarray
    charge: np.ndarray
    pt_error: np.ndarray
    eta_ecal: np.ndarray
    phi_ecal: np.ndarray
    eta_hcal: np.ndarray
    phi_hcal: np.ndarray
    eta_width: np.ndarray
    phi_width: np.ndarray
    num_hits: np.ndarray
    muon_hits: np.ndarray
    muon_type: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    vz: np.ndarray
    trajpoint: np.ndarray

    def of_type(self, element_type: int) -> np.ndarray:
        """Flat indices of all elements of a type."""
        return np.flatnonzero(self.type == element_type)

    def event(self) -> np.ndarray:
        """``(N,)`` event of every element."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def elements_of(events: Events) -> Elements:
    """Elements of an ntuple's events; columns that the file lacks are 0.

    Raises:
        NtupleError: a kinematic column holds a non-finite value.
    """
    events.require_finite(NEEDED_COLUMNS)

    def column(name: str) -> np.ndarray:
        values = events[f"element_{name}"].astype(np.float64)
        return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)

    corrected, raw = column("corr_energy"), column("energy")
    return Elements(
        offsets=events.collection_offsets("element"),
        type=events["element_type"],
        pt=column("pt"),
        eta=column("eta"),
        phi=column("phi"),
        energy=np.where((events["element_type"] == ElementType.ECAL) & (corrected > 0.0), corrected, raw),
        raw_energy=raw,
        charge=column("charge"),
        pt_error=column("pterror"),
        eta_ecal=column("eta_ecal"),
        phi_ecal=column("phi_ecal"),
        eta_hcal=column("eta_hcal"),
        phi_hcal=column("phi_hcal"),
        eta_width=column("etaerror"),
        phi_width=column("phierror"),
        num_hits=column("num_hits"),
        muon_hits=column("muon_dt_hits") + column("muon_csc_hits"),
        muon_type=column("muon_type"),
        x=column("px"),
        y=column("py"),
        z=column("pz"),
        vz=column("vz"),
        trajpoint=column("trajpoint"),
    )
