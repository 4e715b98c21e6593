"""Anti-kt jets over flat arrays, by fastjet (arXiv:1111.6097; algorithm arXiv:0802.1189)."""

from typing import NamedTuple

import awkward as ak
import fastjet
import numpy as np

from mlpf.events import offsets_from_counts
from mlpf.kinematics import momentum_from_pt_eta_phi, pt_eta_phi_from_momentum

# Without this the library prints a banner of twelve lines into every command's output; the papers it asks to cite stand above.
fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)


class Jets(NamedTuple):
    """Jets of B events, by descending pt inside each.

    Attributes:
        pt, eta, phi, energy: ``(J,) float32`` [GeV, rad].
        offsets: ``(B + 1,) int64``.
        constituent_jet: ``(N,) int32``, for every input particle the jet (counted inside its event) that holds it, -1 if none.
    """

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray
    offsets: np.ndarray
    constituent_jet: np.ndarray


def cluster_jets(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, energy: np.ndarray, offsets: np.ndarray, min_pt: float = 3.0, radius: float = 0.4) -> Jets:
    """Anti-kt jets of every event.

    Args:
        pt, eta, phi, energy: ``(N,)`` particles, flat; those with pt <= 0 take no part.
        offsets: ``(B + 1,)`` event boundaries.
        min_pt: jets below are left out [GeV].
        radius: distance parameter R.
    """
    num_events = len(offsets) - 1
    used = np.flatnonzero(pt > 0)
    constituent_jet = np.full(len(pt), -1, dtype=np.int32)
    if len(used) == 0:
        empty = np.zeros(0, dtype=np.float32)
        return Jets(empty, empty, empty, empty, np.zeros(num_events + 1, dtype=np.int64), constituent_jet)
    px, py, pz = momentum_from_pt_eta_phi(pt[used].astype(np.float64), eta[used].astype(np.float64), phi[used].astype(np.float64))
    used_offsets = np.searchsorted(used, offsets)
    record = ak.contents.RecordArray([ak.contents.NumpyArray(v) for v in (px, py, pz, energy[used].astype(np.float64))], ["px", "py", "pz", "E"])
    particles = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(used_offsets), record), with_name="Momentum4D")
    sequence = fastjet.ClusterSequence(particles, fastjet.JetDefinition(fastjet.antikt_algorithm, radius))
    jets = sequence.inclusive_jets(min_pt=min_pt)
    members = sequence.constituent_index(min_pt=min_pt)
    jet_pt = np.hypot(jets.px, jets.py)
    order = ak.argsort(jet_pt, axis=1, ascending=False, stable=True)
    jets, members = jets[order], members[order]

    counts = ak.to_numpy(ak.num(jets))
    flat_px, flat_py, flat_pz, flat_energy = (ak.to_numpy(ak.flatten(jets[name])) for name in ("px", "py", "pz", "E"))
    members_per_jet = ak.to_numpy(ak.flatten(ak.num(members, axis=2)))
    jet_in_event = ak.to_numpy(ak.flatten(ak.local_index(jets.px)))
    event_of_jet = np.repeat(np.arange(num_events), counts)
    member = ak.to_numpy(ak.flatten(members, axis=None)) + np.repeat(used_offsets[event_of_jet], members_per_jet)
    constituent_jet[used[member]] = np.repeat(jet_in_event, members_per_jet)
    flat_pt, flat_eta, flat_phi = pt_eta_phi_from_momentum(flat_px, flat_py, flat_pz)
    flat_pt, flat_eta, flat_phi, flat_energy = (np.asarray(values, dtype=np.float32) for values in (flat_pt, flat_eta, flat_phi, flat_energy))
    return Jets(flat_pt, flat_eta, flat_phi, flat_energy, offsets_from_counts(counts), constituent_jet)
