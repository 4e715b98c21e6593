"""Which member of which Delphes object gives which column of the ntuple: the whole mapping, as tables.

Classes and units: ``classes/DelphesClasses.h`` and ``modules/TreeWriter.cc`` of Delphes 3 (arXiv:1307.6346): GeV, mm, s.
"""

import numpy as np

from mlpf.io.tables import Rules, constant, rule
from mlpf.kinematics import PION_MASS, Values, energy_from_pt_eta_mass, eta_from_pt_pz
from mlpf.schema import CandidateClass, ElementType

TREE = "Delphes"
PARTICLES = "Particle"
TRACKS = ("Track", "EFlowTrack")  # the first that a file has
TOWERS = (("Tower",), ("EFlowPhoton", "EFlowNeutralHadron"), ("EFlowTower",))  # the first group of which a file has any
FLOW_TRACKS = "EFlowTrack"
FLOW_TOWERS = (("EFlowPhoton", "EFlowNeutralHadron"), ("EFlowTower",))
GEN_JETS = "GenJet"
GEN_MET = "GenMissingET"
EVENT_NUMBER = "Event.Number"

CM_PER_MM = 0.1
NS_PER_S = 1e9
FORWARD_ETA = 3.0  # |eta| beyond which CMS has the HF: calorimeter elements there are HFEM and HFHAD
GLOBAL_MUON = 2  # reco::Muon::GlobalMuon, DataFormats/MuonReco/interface/Muon.h
ELECTRON_MASS, MUON_MASS = 0.000511, 0.10566  # GeV, PDG 2024


def _gen_eta(pt: np.ndarray, pz: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Delphes writes +-999.9 along the beam, also where pt is not quite 0."""
    return np.where(pt > 0, eta_from_pt_pz(pt.astype(np.float64), pz.astype(np.float64)), eta)


def _dip(ctg_theta: np.ndarray) -> np.ndarray:
    return np.arctan(ctg_theta)


def _polar(ctg_theta: np.ndarray) -> np.ndarray:
    return np.pi / 2 - np.arctan(ctg_theta)


def _polar_error(ctg_theta: np.ndarray, error: np.ndarray) -> np.ndarray:
    return error / (1 + ctg_theta**2)


def _eta_error(ctg_theta: np.ndarray, error: np.ndarray) -> np.ndarray:
    return error / np.sqrt(1 + ctg_theta**2)  # cot(theta) = sinh(eta)


def _track_pdgid(pid: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """Electrons and muons are what they are (Delphes' e-flow knows them by truth), all other tracks charged pions."""
    lepton = np.isin(np.abs(pid), (CandidateClass.ELECTRON, CandidateClass.MUON))
    return np.where(lepton, pid, np.sign(charge) * CandidateClass.CHARGED_HADRON)


def _track_energy(pt: np.ndarray, eta: np.ndarray, pid: np.ndarray) -> Values:
    leptons = [np.abs(pid) == CandidateClass.ELECTRON, np.abs(pid) == CandidateClass.MUON]
    mass = np.select(leptons, [ELECTRON_MASS, MUON_MASS], PION_MASS)
    return energy_from_pt_eta_mass(pt.astype(np.float64), eta.astype(np.float64), mass)


def _px(pt: np.ndarray, phi: np.ndarray) -> np.ndarray:
    return pt * np.cos(phi)


def _py(pt: np.ndarray, phi: np.ndarray) -> np.ndarray:
    return pt * np.sin(phi)


def _pz(pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    return pt * np.sinh(eta)


def _mm_to_cm(length: np.ndarray) -> np.ndarray:
    return length * CM_PER_MM


def _cluster_type(eta: np.ndarray, em: np.ndarray) -> np.ndarray:
    central = np.where(em, ElementType.ECAL, ElementType.HCAL)
    return np.where(np.abs(eta) > FORWARD_ETA, np.where(em, ElementType.HFEM, ElementType.HFHAD), central)


def _cluster_pdgid(eta: np.ndarray, em: np.ndarray) -> np.ndarray:
    central = np.where(em, CandidateClass.PHOTON, CandidateClass.NEUTRAL_HADRON)
    return np.where(np.abs(eta) > FORWARD_ETA, np.where(em, CandidateClass.HF_EM, CandidateClass.HF_HADRON), central)


def _transverse(energy: np.ndarray, eta: np.ndarray) -> np.ndarray:
    return energy / np.cosh(eta)


# gen_*: Particle. `ev` is for caloparticle_ev, simcluster_ev and trackingparticle_ev.
GEN: Rules = {
    "pt": rule("PT"),
    "eta": rule("PT", "Pz", "Eta", function=_gen_eta),
    "phi": rule("Phi"),
    "energy": rule("E"),
    "px": rule("Px"),
    "py": rule("Py"),
    "pz": rule("Pz"),
    "charge": rule("Charge"),
    "pdgid": rule("PID"),
    "status": rule("Status"),
    "ev": rule("IsPU"),
}

# element_*: tracks
TRACK: Rules = {
    "type": constant(ElementType.TRACK),
    "pt": rule("PT"),
    "eta": rule("Eta"),
    "phi": rule("Phi"),
    "energy": rule("PT", "Eta", function=lambda pt, eta: pt * np.cosh(eta)),
    "charge": rule("Charge"),
    "px": rule("PT", "Phi", function=_px),
    "py": rule("PT", "Phi", function=_py),
    "pz": rule("PT", "Eta", function=_pz),
    "eta_ecal": rule("EtaOuter"),
    "phi_ecal": rule("PhiOuter"),
    "eta_hcal": rule("EtaOuter"),
    "phi_hcal": rule("PhiOuter"),
    "muon_type": rule("PID", function=lambda pid: np.where(np.abs(pid) == CandidateClass.MUON, GLOBAL_MUON, 0)),
    "vx": rule("Xd", function=_mm_to_cm),
    "vy": rule("Yd", function=_mm_to_cm),
    "vz": rule("Zd", function=_mm_to_cm),
    "pterror": rule("ErrorPT"),
    "etaerror": rule("CtgTheta", "ErrorCtgTheta", function=_eta_error),
    "phierror": rule("ErrorPhi"),
    "lambda": rule("CtgTheta", function=_dip),
    "lambdaerror": rule("CtgTheta", "ErrorCtgTheta", function=_polar_error),
    "theta": rule("CtgTheta", function=_polar),
    "thetaerror": rule("CtgTheta", "ErrorCtgTheta", function=_polar_error),
}

# element_*: one per tower and calorimeter in which it has energy. `energy` is Eem or Ehad, `em` says which.
CLUSTER: Rules = {
    "type": rule("Eta", "em", function=_cluster_type),
    "pt": rule("energy", "Eta", function=_transverse),
    "eta": rule("Eta"),
    "phi": rule("Phi"),
    "energy": rule("energy"),
    "corr_energy": rule("energy"),
    "time": rule("T", function=lambda time: time * NS_PER_S),
}
TOWER_MEMBERS = ("Eem", "Ehad", "Eta", "Phi", "T", "Edges[4]")
TOWER_ENERGIES = {"Eem": True, "Ehad": False}  # and whether it is electromagnetic

# pfcandidate_*: Delphes' own particle flow
TRACK_CANDIDATE: Rules = {
    "pt": rule("PT"),
    "eta": rule("Eta"),
    "phi": rule("Phi"),
    "energy": rule("PT", "Eta", "PID", function=_track_energy),
    "px": rule("PT", "Phi", function=_px),
    "py": rule("PT", "Phi", function=_py),
    "pz": rule("PT", "Eta", function=_pz),
    "pdgid": rule("PID", "Charge", function=_track_pdgid),
}
CLUSTER_CANDIDATE: Rules = {
    "pt": rule("energy", "Eta", function=_transverse),
    "eta": rule("Eta"),
    "phi": rule("Phi"),
    "energy": rule("energy"),
    "px": rule("energy", "Eta", "Phi", function=lambda energy, eta, phi: _px(_transverse(energy, eta), phi)),
    "py": rule("energy", "Eta", "Phi", function=lambda energy, eta, phi: _py(_transverse(energy, eta), phi)),
    "pz": rule("energy", "Eta", function=lambda energy, eta: energy * np.tanh(eta)),
    "pdgid": rule("Eta", "em", function=_cluster_pdgid),
}

GENJET: Rules = {
    "pt": rule("PT"),
    "eta": rule("Eta"),
    "phi": rule("Phi"),
    "energy": rule("PT", "Eta", "Mass", function=energy_from_pt_eta_mass),
}
GENMET: Rules = {"pt": rule("MET"), "phi": rule("Phi")}
