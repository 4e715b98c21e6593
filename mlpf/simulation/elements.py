"""Tracks, clusters and superclusters -> element columns, as the ntuple has them."""

import numpy as np

from mlpf import schema
from mlpf.kinematics import eta_from_pt_pz
from mlpf.schema import ElementType
from mlpf.simulation.calorimeter.calibration import corrected_energy, energy_uncertainty
from mlpf.simulation.calorimeter.geometry import LAYER_EB, LAYER_EE, LAYER_HB, LAYER_HE, LAYER_HFEM, LAYER_HFHAD, LAYER_HO, LAYER_PS1, LAYER_PS2
from mlpf.simulation.calorimeter.moments import NUM_SPREADS, Moments
from mlpf.simulation.calorimeter.superclusters import Superclusters
from mlpf.simulation.propagation import NOT_REACHED
from mlpf.simulation.tracker.gsf import ECAL_DRIVEN_PT, GsfTracks
from mlpf.simulation.tracker.helix import HelixFit
from mlpf.simulation.tracker.tracks import Tracks

TYPE_OF_LAYER = {
    LAYER_EB: ElementType.ECAL,
    LAYER_EE: ElementType.ECAL,
    LAYER_HB: ElementType.HCAL,
    LAYER_HE: ElementType.HCAL,
    LAYER_HO: ElementType.HO,
    LAYER_HFEM: ElementType.HFEM,
    LAYER_HFHAD: ElementType.HFHAD,
    LAYER_PS1: ElementType.PS1,
    LAYER_PS2: ElementType.PS2,
}
# Time resolution sqrt(a^2 + (b / E)^2): a [ns], b [ns GeV]. ECAL: barrel above 5 GeV of particleFlowCaloResolution_cfi in
# RecoParticleFlow; HCAL: one formula near its three pieces (4.1 ns at 5 GeV, 2.7 ns above 20). Of a cluster, not of a hit, and the same in the endcaps and HF.
ECAL_TIME, HCAL_TIME = (0.43, 1.1), (2.8, 8.0)
ELEMENT_COLUMNS = schema.NTUPLE.names("element")

Columns = dict[str, np.ndarray]


def cluster_types(layer: np.ndarray) -> np.ndarray:
    """``(C,)`` element types by PFLayer."""
    return np.array([TYPE_OF_LAYER[value] for value in layer.tolist()], dtype=np.int64)


def track_columns(tracks: Tracks) -> Columns:
    """TRACK elements."""
    impacts = tracks.impacts
    reaches_ecal = impacts.region != NOT_REACHED
    return {
        "element_type": np.full(len(tracks.particle), ElementType.TRACK),
        **_helix_columns(tracks.fit),
        "element_eta_ecal": impacts.eta * reaches_ecal,
        "element_phi_ecal": impacts.phi * reaches_ecal,
        "element_eta_hcal": impacts.hcal_eta * impacts.enters_hcal,
        "element_phi_hcal": impacts.hcal_phi * impacts.enters_hcal,
        "element_muon_dt_hits": tracks.muon.dt,
        "element_muon_csc_hits": tracks.muon.csc,
        "element_muon_type": tracks.muon.type,
        "element_num_hits": tracks.num_hits,
    }


def gsf_columns(gsf: GsfTracks) -> Columns:
    """GSF elements; they have the directions of their inner and outer momentum where a TRACK has its calorimeter points, and a BREM is a hit."""
    return {
        "element_type": np.full(len(gsf.particle), ElementType.GSF),
        **_helix_columns(gsf.fit),
        "element_eta_ecal": gsf.inner_eta,
        "element_phi_ecal": gsf.inner_phi,
        "element_eta_hcal": gsf.outer_eta,
        "element_phi_hcal": gsf.outer_phi,
        "element_gsf_electronseed_trkorecal": _seed(gsf),
        "element_num_hits": np.bincount(gsf.brems.gsf, minlength=len(gsf.particle)),
    }


def brem_columns(gsf: GsfTracks) -> Columns:
    """BREM elements: the trajectory points of electron tracks, with the mean momentum of their track."""
    brems = gsf.brems
    helix = _helix_columns(gsf.fit._replace(pt=gsf.mean_pt))
    kept = ("pt", "eta", "phi", "energy", "charge", "px", "py", "pz")
    return {
        "element_type": np.full(len(brems.gsf), ElementType.BREM),
        **{f"element_{name}": helix[f"element_{name}"][brems.gsf] for name in kept},
        "element_gsf_electronseed_trkorecal": _seed(gsf)[brems.gsf],
        "element_trajpoint": brems.point,
        "element_deltap": brems.delta_p,
        "element_sigmadeltap": brems.delta_p_error,
    }


def _seed(gsf: GsfTracks) -> np.ndarray:
    """Kind of seed: 1 ECAL driven, 2 tracker driven."""
    return np.where(gsf.fit.pt > ECAL_DRIVEN_PT, 1, 2)


def _helix_columns(fit: HelixFit) -> Columns:
    """Momentum, reference point and uncertainties."""
    return {
        "element_pt": fit.pt,
        "element_eta": np.arctanh(np.cos(fit.theta)),
        "element_phi": fit.phi,
        "element_energy": fit.pt / np.sin(fit.theta),
        "element_charge": fit.charge,
        "element_px": fit.pt * np.cos(fit.phi),
        "element_py": fit.pt * np.sin(fit.phi),
        "element_pz": fit.pt / np.tan(fit.theta),
        "element_vx": fit.x,
        "element_vy": fit.y,
        "element_vz": fit.z,
        "element_pterror": fit.pt_error,
        "element_etaerror": fit.theta_error / np.sin(fit.theta),
        "element_phierror": fit.phi_error,
        "element_lambda": 0.5 * np.pi - fit.theta,
        "element_lambdaerror": fit.theta_error,
        "element_theta": fit.theta,
        "element_thetaerror": fit.theta_error,
    }


def cluster_columns(moments: Moments, layer: np.ndarray, delay: np.ndarray, preshower: np.ndarray, rng: np.random.Generator) -> Columns:
    """ECAL, HCAL, HO, HFEM, HFHAD, PS1 and PS2 elements; the preshower measures no times.

    Args:
        layer: ``(C,)`` PFLayer of the seeds.
        delay: ``(C,)`` mean arrival after light from the centre [ns], without resolution.
        preshower: ``(C,)`` energy that their preshower strips stand for [GeV].
    """
    x, y, z = moments.position.T
    eta = eta_from_pt_pz(np.hypot(x, y), z)
    is_ecal, is_strip = (layer == LAYER_EB) | (layer == LAYER_EE), (layer == LAYER_PS1) | (layer == LAYER_PS2)
    energy = moments.energy
    constant, noise = np.where(is_ecal, ECAL_TIME[0], HCAL_TIME[0]), np.where(is_ecal, ECAL_TIME[1], HCAL_TIME[1])
    time_error = np.where(is_strip, 0.0, np.hypot(constant, noise / energy))
    corrected = corrected_energy(energy, layer, moments.position, preshower)
    return {
        "element_type": cluster_types(layer),
        "element_pt": energy / np.cosh(eta),
        "element_eta": eta,
        "element_phi": np.arctan2(y, x),
        "element_energy": energy,
        "element_layer": layer,
        "element_depth": moments.depth,
        "element_px": x,
        "element_py": y,
        "element_pz": z,
        "element_num_hits": moments.num_hits,
        "element_corr_energy": corrected,
        "element_corr_energy_err": energy_uncertainty(corrected),
        "element_pterror": moments.energy_spread,
        "element_etaerror": moments.eta_spread,
        "element_phierror": moments.phi_spread,
        "element_time": np.where(is_strip, 0.0, delay + time_error * rng.normal(size=len(energy))),
        "element_timeerror": time_error,
        **{f"element_etaerror{k + 1}": moments.eta_spread_by_depth[:, k] for k in range(NUM_SPREADS)},
        **{f"element_phierror{k + 1}": moments.phi_spread_by_depth[:, k] for k in range(NUM_SPREADS)},
        **{f"element_sigma_{axis}": moments.position_spread[:, k] for k, axis in enumerate("xyz")},
    }


def supercluster_columns(superclusters: Superclusters, clusters: Columns, preshower: np.ndarray) -> Columns:
    """SC elements: pt 0, the position is the energy-weighted mean of the clusters', the errors are its widths, the corrected energy is the preshower's.

    Args:
        clusters: columns of all clusters. preshower: ``(C,)`` energy that their preshower strips stand for [GeV].
    """
    num = len(superclusters.offsets) - 1
    owner = np.repeat(np.arange(num), np.diff(superclusters.offsets))
    energy = clusters["element_energy"][superclusters.cluster]
    total = np.bincount(owner, weights=energy, minlength=num)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, weights=values * energy, minlength=num) / total

    x, y, z = (mean(clusters[f"element_p{axis}"][superclusters.cluster]) for axis in "xyz")
    eta, phi = eta_from_pt_pz(np.hypot(x, y), z), np.arctan2(y, x)
    turned = np.exp(1j * (clusters["element_phi"][superclusters.cluster] - phi[owner]))
    return {
        "element_type": np.full(num, ElementType.SC),
        "element_eta": eta,
        "element_phi": phi,
        "element_energy": total,
        "element_px": x,
        "element_py": y,
        "element_pz": z,
        "element_num_hits": np.diff(superclusters.offsets),
        "element_corr_energy": np.bincount(owner, weights=preshower[superclusters.cluster], minlength=num),
        "element_etaerror": np.sqrt(mean((clusters["element_eta"][superclusters.cluster] - eta[owner]) ** 2)),
        "element_phierror": np.sqrt(mean(np.angle(turned) ** 2)),
    }


def join_elements(*parts: Columns) -> Columns:
    """All element columns of an event: the parts one after the other, 0 where a part lacks a column."""
    lengths = [len(part["element_type"]) for part in parts]
    columns = {}
    for name in ELEMENT_COLUMNS:
        dtype = schema.NTUPLE.dtype(name)
        columns[name] = np.concatenate([part.get(name, np.zeros(length)).astype(dtype) for part, length in zip(parts, lengths, strict=True)])
    return columns
