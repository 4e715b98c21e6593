"""Which member of which EDM4hep object gives which column of the ntuple: the whole mapping, as tables.

Members and units: ``edm4hep.yaml`` of EDM4hep (https://github.com/key4hep/EDM4hep): GeV, mm, ns. Members of other objects that an element belongs to have the
prefix of that object: ``particle.`` (the ReconstructedParticle) and ``state.`` (the first TrackState).
"""

import numpy as np

from mlpf.io.tables import Rules, constant, rule
from mlpf.kinematics import Values, eta_from_pt_pz
from mlpf.schema import CandidateClass, ElementType

TREE = "events"
# Data types (the ends of the type names of branches), and the collections to prefer where a file has several.
Kind = tuple[tuple[str, ...], tuple[str, ...]]
PARTICLES: Kind = ("MCParticleData",), ("MCParticles", "MCParticle", "Particle")
RECONSTRUCTED: Kind = ("ReconstructedParticleData",), ("PandoraPFOs", "PandoraPFANewPFOs", "ReconstructedParticles")
TRUTH_LINKS: Kind = ("RecoMCParticleLinkData", "MCRecoParticleAssociationData"), ("RecoMCTruthLink", "MCRecoAssociations")
HEADER: Kind = ("EventHeaderData",), ("EventHeader",)
TRACKS, CLUSTERS = "TrackData", "ClusterData"
# Relations: the names that their branches have, and the numbers that they had before podio 0.17.
Relation = tuple[tuple[str, ...], int]
PARENTS: Relation = ("parents",), 0
CLUSTERS_OF: Relation = ("clusters",), 0
TRACKS_OF: Relation = ("tracks",), 1
RECONSTRUCTED_OF: Relation = ("from", "rec"), 0
PARTICLE_OF: Relation = ("to", "sim"), 1
STATES = "trackStates", 1
ID_TABLES = (("podio_metadata", "events___idTable"), ("metadata", "CollectionIDs"))  # tree and branch of the numbers and names of collections

OVERLAY_BIT = 23  # of MCParticle.simulatorStatus: comes from pileup or another overlaid event
CM_PER_MM = 0.1
GLOBAL_MUON = 2  # reco::Muon::GlobalMuon, DataFormats/MuonReco/interface/Muon.h
ELECTROMAGNETIC = {"photon": True, "ecal": True, "hadron": False, "hcal": False}  # part of a cluster collection's name -> kind of its clusters
ELECTROMAGNETIC_PIDS = (CandidateClass.PHOTON, CandidateClass.ELECTRON)
LEPTON_MASSES = {CandidateClass.ELECTRON: 0.000511, CandidateClass.MUON: 0.10566}  # GeV, PDG 2024
MASS_TOLERANCE = 0.01  # relative


def _pt(px: np.ndarray, py: np.ndarray) -> np.ndarray:
    return np.hypot(px, py)


def _eta(px: np.ndarray, py: np.ndarray, pz: np.ndarray) -> Values:
    """Along the beam, where pt is 0, a finite stand-in like Delphes'."""
    return np.clip(eta_from_pt_pz(np.hypot(px, py).astype(np.float64), pz.astype(np.float64)), -999.9, 999.9)


def _phi(px: np.ndarray, py: np.ndarray) -> np.ndarray:
    return np.arctan2(py, px)


def _length(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.sqrt(x.astype(np.float64) ** 2 + y.astype(np.float64) ** 2 + z.astype(np.float64) ** 2)


def _energy(px: np.ndarray, py: np.ndarray, pz: np.ndarray, mass: np.ndarray) -> np.ndarray:
    return np.hypot(_length(px, py, pz), mass)


def _candidate_pdgid(pid: np.ndarray, charge: np.ndarray, mass: np.ndarray, electromagnetic: np.ndarray) -> np.ndarray:
    """The particle's own pdgId where that is a class; else what its mass says of a charged one, and its cluster of a neutral one."""
    known = np.isin(np.abs(pid), (CandidateClass.CHARGED_HADRON, CandidateClass.NEUTRAL_HADRON, CandidateClass.PHOTON, *LEPTON_MASSES))
    guess = np.where(electromagnetic, CandidateClass.PHOTON, CandidateClass.NEUTRAL_HADRON)
    guess = np.where(charge != 0, np.sign(charge) * CandidateClass.CHARGED_HADRON, guess)
    for lepton, lepton_mass in LEPTON_MASSES.items():
        guess = np.where((charge != 0) & (np.abs(mass - lepton_mass) < MASS_TOLERANCE * lepton_mass), -np.sign(charge) * lepton, guess)
    return np.where(known, pid, guess)


def _pt_error(px: np.ndarray, py: np.ndarray, omega: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The relative uncertainty of pt is that of the curvature."""
    return np.where(omega != 0, np.hypot(px, py) * np.sqrt(covariance[:, 5]) / np.abs(omega), 0.0)


def _dip_error(tan_lambda: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.sqrt(covariance[:, 14]) / (1 + tan_lambda**2)


_MOMENTUM = ("momentum.x", "momentum.y", "momentum.z")
_OWN_MOMENTUM = tuple(f"particle.{name}" for name in _MOMENTUM)
_DIRECTION = ("direction.x", "direction.y", "direction.z")  # position, or where there is none the momentum of the cluster's particle

GEN: Rules = {
    "pt": rule(*_MOMENTUM[:2], function=_pt),
    "eta": rule(*_MOMENTUM, function=_eta),
    "phi": rule(*_MOMENTUM[:2], function=_phi),
    "energy": rule(*_MOMENTUM, "mass", function=_energy),
    "px": rule("momentum.x"),
    "py": rule("momentum.y"),
    "pz": rule("momentum.z"),
    "charge": rule("charge"),
    "pdgid": rule("PDG"),
    "status": rule("generatorStatus"),
    "ev": rule("simulatorStatus", function=lambda status: (status >> OVERLAY_BIT) & 1),
}

# The covariance is the lower triangle of (d0, phi, omega, z0, tan(lambda)): their variances are numbers 0, 2, 5, 9 and 14.
TRACK: Rules = {
    "type": constant(ElementType.TRACK),
    "pt": rule(*_OWN_MOMENTUM[:2], function=_pt),
    "eta": rule(*_OWN_MOMENTUM, function=_eta),
    "phi": rule(*_OWN_MOMENTUM[:2], function=_phi),
    "energy": rule(*_OWN_MOMENTUM, function=_length),
    "charge": rule("particle.charge"),
    "px": rule("particle.momentum.x"),
    "py": rule("particle.momentum.y"),
    "pz": rule("particle.momentum.z"),
    "muon_type": rule("particle.pdgid", function=lambda pdgid: np.where(np.abs(pdgid) == CandidateClass.MUON, GLOBAL_MUON, 0)),
    "vx": rule("state.D0", "state.phi", "state.referencePoint.x", function=lambda d0, phi, x: CM_PER_MM * (x - d0 * np.sin(phi))),
    "vy": rule("state.D0", "state.phi", "state.referencePoint.y", function=lambda d0, phi, y: CM_PER_MM * (y + d0 * np.cos(phi))),
    "vz": rule("state.Z0", "state.referencePoint.z", function=lambda z0, z: CM_PER_MM * (z + z0)),
    "pterror": rule(*_OWN_MOMENTUM[:2], "state.omega", "state.covMatrix", function=_pt_error),
    "lambda": rule("state.tanLambda", function=np.arctan),
    "lambdaerror": rule("state.tanLambda", "state.covMatrix", function=_dip_error),
    "theta": rule("state.tanLambda", function=lambda tan: np.pi / 2 - np.arctan(tan)),
    "thetaerror": rule("state.tanLambda", "state.covMatrix", function=_dip_error),
    "etaerror": rule("state.tanLambda", "state.covMatrix", function=lambda tan, cov: np.sqrt(cov[:, 14]) / np.sqrt(1 + tan**2)),
    "phierror": rule("state.covMatrix", function=lambda covariance: np.sqrt(covariance[:, 2])),
}

CLUSTER: Rules = {
    "type": rule("electromagnetic", function=lambda em: np.where(em, ElementType.ECAL, ElementType.HCAL)),
    "pt": rule("energy", *_DIRECTION, function=lambda energy, x, y, z: energy / np.cosh(_eta(x, y, z))),
    "eta": rule(*_DIRECTION, function=_eta),
    "phi": rule(*_DIRECTION[:2], function=_phi),
    "energy": rule("energy"),
    "corr_energy": rule("energy"),
    "corr_energy_err": rule("energyError"),
    "px": rule("position.x", function=lambda x: CM_PER_MM * x),
    "py": rule("position.y", function=lambda y: CM_PER_MM * y),
    "pz": rule("position.z", function=lambda z: CM_PER_MM * z),
}

CANDIDATE: Rules = {
    "pt": rule(*_MOMENTUM[:2], function=_pt),
    "eta": rule(*_MOMENTUM, function=_eta),
    "phi": rule(*_MOMENTUM[:2], function=_phi),
    "energy": rule("energy"),
    "px": rule("momentum.x"),
    "py": rule("momentum.y"),
    "pz": rule("momentum.z"),
    "pdgid": rule("PDG", "charge", "mass", "electromagnetic", function=_candidate_pdgid),
}
