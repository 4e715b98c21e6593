"""The one contract: ntuple columns, element types, candidate classes and the consumer's features.

Every other part addresses a column by its name here, never by a number. Columns carry the branch names of the public CMSSW ntuplizer (`PFAnalysis` in
``Validation/RecoParticleFlow``); one tree entry is one event. Units: GeV, cm, rad, ns.

Two versions of the ntuple are told apart: ``2020`` (cms-sw/cmssw#29361 and #32048, no CaloParticles) and ``2026`` (with CaloParticles and association
weights). A file of either version may lack any branch that is not `Column.required`; missing columns read as 0.
"""

import enum
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache

import numpy as np

SCHEMA_VERSION = 4  # of the Parquet dataset; raised whenever a reader of the old one would be wrong
TREE_PATHS = ("pfana/pftree", "ana/pftree")  # newer, 2020
VERSIONS = ("2020", "2026")


class ElementType(enum.IntEnum):
    """Type of a PF element, `reco::PFBlockElement::Type`."""

    NONE = 0
    TRACK = 1
    PS1 = 2
    PS2 = 3
    ECAL = 4
    HCAL = 5
    GSF = 6
    BREM = 7
    HFEM = 8
    HFHAD = 9
    SC = 10
    HO = 11


NUM_ELEMENT_TYPES = len(ElementType)
# Elements the consumer never sees: preshower clusters and bremsstrahlung points (MLPFProducer drops them before inference).
CONSUMER_DROPPED_TYPES = (ElementType.PS1, ElementType.PS2, ElementType.BREM)
# Elements that never yield a candidate: the dropped ones, and superclusters, whose pt the consumer sets to 0.
NO_CANDIDATE_TYPES = (ElementType.NONE, *CONSUMER_DROPPED_TYPES, ElementType.SC)


class CandidateClass(enum.IntEnum):
    """Class of a particle-flow candidate; the value is the pdgId that the consumer writes (1: HF hadronic, 2: HF electromagnetic)."""

    NONE = 0
    CHARGED_HADRON = 211
    NEUTRAL_HADRON = 130
    HF_HADRON = 1
    HF_EM = 2
    PHOTON = 22
    ELECTRON = 11
    MUON = 13
    TAU = 15  # in the consumer's table, never a target


# The consumer's order: position in this tuple = index of the class logit.
CLASSES = tuple(CandidateClass)
CLASS_IDS = tuple(int(c) for c in CLASSES)
CLASS_NAMES = tuple(c.name.lower() for c in CLASSES)
NUM_CLASSES = len(CLASSES)
CHARGED_CLASSES = (CandidateClass.CHARGED_HADRON, CandidateClass.ELECTRON, CandidateClass.MUON)


class EdgeKind(enum.IntFlag):
    """Why two elements are joined by an edge of the dataset; several reasons may hold."""

    LINK = 1
    """PF link of the ntuple."""
    RADIUS = 2
    """Closer than the policy's edge_radius."""
    NEAREST = 4
    """One is among the policy's edge_neighbors nearest of the other."""


@dataclass(frozen=True)
class Column:
    """One branch of the ntuple.

    Attributes:
        name: branch name.
        dtype: type in memory, ``float32``, ``int32``, ``int64``, ``uint32`` or ``uint64``.
        unit: unit of the values, empty for counts and indices.
        meaning: what it is, with the traps.
        versions: ntuple versions that hold it.
        required: a file without it cannot be used at all.
        tree_dtype: type in the tree where it differs from `dtype`.
    """

    name: str
    dtype: str
    unit: str
    meaning: str
    versions: tuple[str, ...] = VERSIONS
    required: bool = False
    tree_dtype: str = ""


@dataclass(frozen=True)
class Collection:
    """Columns that share one length per event; ``scalar`` ones hold exactly one value per event."""

    name: str
    columns: tuple[Column, ...]
    scalar: bool = False
    meaning: str = field(default="", compare=False)


_NEW = ("2026",)


def _floats(collection: str, unit: str, meanings: dict[str, str], versions: tuple[str, ...] = VERSIONS) -> tuple[Column, ...]:
    return tuple(Column(f"{collection}_{name}", "float32", unit, meaning, versions) for name, meaning in meanings.items())


def _ints(collection: str, meanings: dict[str, str], versions: tuple[str, ...] = VERSIONS) -> tuple[Column, ...]:
    return tuple(Column(f"{collection}_{name}", "int32", "", meaning, versions) for name, meaning in meanings.items())


def _pairs(
    name: str,
    first: str,
    second: str,
    cmp_unit: str = "",
    cmp_meaning: str = "",
    cmp_versions: tuple[str, ...] = VERSIONS,
    versions: tuple[str, ...] = VERSIONS,
) -> Collection:
    columns = [
        Column(f"{name}.first", "int32", "", f"index of the {first}", versions),
        Column(f"{name}.second", "int32", "", f"index of the {second}", versions),
    ]
    if cmp_meaning:
        columns.append(Column(f"{name}_cmp", "float32", cmp_unit, cmp_meaning, cmp_versions))
    return Collection(name, tuple(columns), meaning=f"links {first} -> {second}, a pair per link")


EVENT = Collection(
    "event",
    (
        Column("event", "uint64", "", "event number"),
        Column("lumi", "uint32", "", "luminosity block"),
        Column("run", "uint32", "", "run number"),
    ),
    scalar=True,
    meaning="identity of the event",
)

TRACKINGPARTICLE = Collection(
    "trackingparticle",
    _floats("trackingparticle", "GeV", {"pt": "transverse momentum", "px": "momentum x", "py": "momentum y", "pz": "momentum z", "energy": "energy"})
    + _floats("trackingparticle", "", {"eta": "pseudorapidity"})
    + _floats("trackingparticle", "rad", {"phi": "azimuth"})
    + _floats("trackingparticle", "cm", {"dvx": "first decay vertex x, 0 if none", "dvy": "first decay vertex y", "dvz": "first decay vertex z"})
    + _ints("trackingparticle", {"bx": "bunch crossing", "ev": "event in the crossing, 0 = signal", "pid": "signed pdgId"})
    + _ints("trackingparticle", {"charge": "charge [e]"}, _NEW),
    meaning="simulated particles that leave hits in the tracker",
)

SIMCLUSTER = Collection(
    "simcluster",
    _floats("simcluster", "GeV", {"pt": "transverse momentum", "energy": "energy"})
    + _floats("simcluster", "", {"eta": "pseudorapidity"})
    + _floats("simcluster", "rad", {"phi": "azimuth"})
    + _ints("simcluster", {"bx": "bunch crossing", "ev": "event in the crossing, 0 = signal", "pid": "signed pdgId"})
    + _ints("simcluster", {"charge": "charge [e]", "idx_caloparticle": "CaloParticle it belongs to"}, _NEW)
    + _ints("simcluster", {"idx_trackingparticle": "TrackingParticle of its first Geant track, -1 if none"}),
    meaning="energy deposits of one simulated particle that reached the calorimeters",
)

CALOPARTICLE = Collection(
    "caloparticle",
    _floats("caloparticle", "GeV", {"pt": "transverse momentum", "energy": "energy", "simenergy": "energy deposited"}, _NEW)
    + _floats("caloparticle", "", {"eta": "pseudorapidity"}, _NEW)
    + _floats("caloparticle", "rad", {"phi": "azimuth"}, _NEW)
    + tuple(
        Column(f"caloparticle_{name}", "int32", "", meaning, _NEW, tree_dtype="float32")
        for name, meaning in {"bx": "bunch crossing", "ev": "event in the crossing, 0 = signal"}.items()
    )
    + _ints(
        "caloparticle",
        {"pid": "signed pdgId", "charge": "charge [e]", "idx_trackingparticle": "TrackingParticle of its first Geant track, -1 if none"},
        _NEW,
    ),
    meaning="generator particles with all that their showers deposited: the particles to reconstruct",
)

GEN = Collection(
    "gen",
    _floats("gen", "GeV", {"pt": "transverse momentum", "px": "momentum x", "py": "momentum y", "pz": "momentum z", "energy": "energy"})
    + _floats("gen", "", {"eta": "pseudorapidity"})
    + _floats("gen", "rad", {"phi": "azimuth"})
    + _ints("gen", {"charge": "charge [e]", "pdgid": "signed pdgId", "status": "generator status, 1 = stable"}),
    meaning="generator particles of the hard event, all statuses",
)

GENJET = Collection(
    "genjet",
    _floats("genjet", "GeV", {"pt": "transverse momentum", "energy": "energy"}, _NEW)
    + _floats("genjet", "", {"eta": "pseudorapidity"}, _NEW)
    + _floats("genjet", "rad", {"phi": "azimuth"}, _NEW),
    meaning="anti-kt 0.4 jets of stable generator particles without neutrinos",
)

GENMET = Collection(
    "genmet",
    (
        Column("genmet_pt", "float32", "GeV", "generated missing transverse momentum (a vector of length 1 in the tree)", _NEW),
        Column("genmet_phi", "float32", "rad", "its azimuth", _NEW),
    ),
    meaning="missing transverse momentum of the hard event",
)

_MOMENTUM_OR_POSITION = "momentum of tracks and GSF [GeV]; position of clusters and superclusters [cm]"

ELEMENT = Collection(
    "element",
    (
        Column("element_type", "int32", "", "ElementType", required=True),
        Column("element_pt", "float32", "GeV", "transverse momentum; clusters E/cosh(eta), superclusters 0", required=True),
        Column("element_eta", "float32", "", "pseudorapidity of the track at the vertex or of the cluster position", required=True),
        Column("element_phi", "float32", "rad", "azimuth, as eta", required=True),
        Column("element_energy", "float32", "GeV", "momentum of tracks, energy of clusters", required=True),
    )
    + _ints("element", {"charge": "charge of tracks and GSF [e]", "layer": "PFLayer of clusters"})
    + _floats("element", "", {"depth": "depth segment of clusters", "trajpoint": "trajectory point of BREM"})
    + _floats("element", "", {"eta_ecal": "track at the ECAL; GSF: inner momentum", "eta_hcal": "track at the HCAL; GSF: outer momentum"})
    + _floats("element", "rad", {"phi_ecal": "track at the ECAL; GSF: inner momentum", "phi_hcal": "track at the HCAL; GSF: outer momentum"})
    + _floats("element", "", {"muon_dt_hits": "valid hits in drift tubes", "muon_csc_hits": "valid hits in cathode strip chambers"})
    + _floats("element", "GeV", {"deltap": "BREM: momentum lost", "sigmadeltap": "BREM: its uncertainty"})
    + _floats("element", "GeV or cm", {name: f"{name}: {_MOMENTUM_OR_POSITION}" for name in ("px", "py", "pz")})
    + _floats("element", "", {"muon_type": "bit mask of muon types", "gsf_electronseed_trkorecal": "GSF seed: 1 ECAL, 2 tracker driven"}, _NEW)
    + _floats("element", "", {f"gsf_electronseed_dnn{i}": f"electron identification output {i}" for i in range(1, 6)}, _NEW)
    + _floats("element", "", {"num_hits": "hits of a track, rec-hit fractions of a cluster", "cluster_flags": "flags of clusters"}, _NEW)
    + _floats("element", "GeV", {"corr_energy": "calibrated cluster energy; SC: preshower energy", "corr_energy_err": "its uncertainty"}, _NEW)
    + _floats("element", "cm", {"vx": "reference point x", "vy": "reference point y", "vz": "reference point z"}, _NEW)
    + _floats("element", "GeV", {"pterror": "uncertainty of pt; clusters: spread of hit energies"}, _NEW)
    + _floats("element", "", {"etaerror": "uncertainty of eta; clusters: spread of hits; SC: eta width"}, _NEW)
    + _floats("element", "rad", {"phierror": "uncertainty of phi; clusters: spread of hits; SC: phi width"}, _NEW)
    + _floats(
        "element", "rad", {"lambda": "dip angle of tracks", "lambdaerror": "its uncertainty", "theta": "polar angle", "thetaerror": "its uncertainty"}, _NEW
    )
    + _floats("element", "ns", {"time": "time of clusters", "timeerror": "its uncertainty"}, _NEW)
    + _floats("element", "", {f"etaerror{i}": f"energy-weighted spread of hit eta, depth {i} (4: all other depths)" for i in range(1, 5)}, _NEW)
    + _floats("element", "rad", {f"phierror{i}": f"energy-weighted spread of hit phi, depth {i} (4: all other depths)" for i in range(1, 5)}, _NEW)
    + _floats("element", "cm", {f"sigma_{axis}": f"energy-weighted spread of hit positions in {axis}" for axis in "xyz"}, _NEW),
    meaning="PF elements in block order: tracks and clusters, the input of the reconstruction",
)

PFCANDIDATE = Collection(
    "pfcandidate",
    _floats("pfcandidate", "GeV", {"pt": "transverse momentum", "px": "momentum x", "py": "momentum y", "pz": "momentum z", "energy": "energy"})
    + _floats("pfcandidate", "", {"eta": "pseudorapidity"})
    + _floats("pfcandidate", "rad", {"phi": "azimuth"})
    + _ints("pfcandidate", {"pdgid": "signed pdgId"}),
    meaning="candidates of rule-based particle flow",
)

LINKS = (
    _pairs("trackingparticle_to_element", "TrackingParticle", "element", "", "association quality", _NEW),
    _pairs("caloparticle_to_element", "CaloParticle", "element", "GeV", "shared energy (SC elements: sum of fractions)", _NEW, _NEW),
    _pairs("simcluster_to_element", "SimCluster", "element", "GeV", "shared energy (SC elements: sum of fractions)"),
    _pairs("caloparticle_to_simcluster", "CaloParticle", "SimCluster", versions=_NEW),
    _pairs("element_to_candidate", "element", "candidate"),
)

ELEMENT_DISTANCE = Collection(
    "element_distance",
    _ints("element_distance", {"i": "first element", "j": "second element"}) + _floats("element_distance", "", {"d": "link distance, may be negative"}),
    meaning="links inside the PF blocks",
)


class Layout:
    """The collections of one kind of file.

    Attributes:
        collections: name -> `Collection`.
        columns: column name -> `Column`.
        collection_of: column name -> name of its collection.
    """

    def __init__(self, name: str, *collections: Collection) -> None:
        self.name = name
        self.collections = {c.name: c for c in collections}
        self.columns = {column.name: column for c in collections for column in c.columns}
        self.collection_of = {column.name: c.name for c in collections for column in c.columns}

    def dtype(self, column: str) -> np.dtype:
        """NumPy dtype of a column in memory."""
        return np.dtype(self.columns[column].dtype)

    def is_scalar(self, column: str) -> bool:
        """Whether the column holds one value per event."""
        return self.collections[self.collection_of[column]].scalar

    def names(self, collection: str, version: str | None = None) -> tuple[str, ...]:
        """Names of a collection's columns, of one ntuple version or of all."""
        return tuple(c.name for c in self.collections[collection].columns if version is None or version in c.versions)


NTUPLE = Layout("ntuple", EVENT, TRACKINGPARTICLE, SIMCLUSTER, CALOPARTICLE, GEN, GENJET, GENMET, ELEMENT, PFCANDIDATE, *LINKS, ELEMENT_DISTANCE)

# What the indices in each column count; used to check that no link points outside its event.
INDEX_TARGETS: dict[str, str] = {
    "trackingparticle_to_element.first": "trackingparticle",
    "trackingparticle_to_element.second": "element",
    "caloparticle_to_element.first": "caloparticle",
    "caloparticle_to_element.second": "element",
    "simcluster_to_element.first": "simcluster",
    "simcluster_to_element.second": "element",
    "caloparticle_to_simcluster.first": "caloparticle",
    "caloparticle_to_simcluster.second": "simcluster",
    "element_to_candidate.first": "element",
    "element_to_candidate.second": "pfcandidate",
    "element_distance_i": "element",
    "element_distance_j": "element",
    "simcluster_idx_trackingparticle": "trackingparticle",
    "simcluster_idx_caloparticle": "caloparticle",
    "caloparticle_idx_trackingparticle": "trackingparticle",
}
OPTIONAL_INDICES = ("simcluster_idx_trackingparticle", "simcluster_idx_caloparticle", "caloparticle_idx_trackingparticle")  # -1 = none

# The consumer's 55 features, in its order (ElementFeatures::as_array of MLPFProducer): all but the sine and cosine of phi are element columns.
FEATURES: tuple[str, ...] = (
    "type", "pt", "eta", "sin_phi", "cos_phi", "energy", "layer", "depth", "charge", "trajpoint",
    "eta_ecal", "phi_ecal", "eta_hcal", "phi_hcal", "muon_dt_hits", "muon_csc_hits", "muon_type", "px", "py", "pz",
    "deltap", "sigmadeltap", "gsf_electronseed_trkorecal",
    "gsf_electronseed_dnn1", "gsf_electronseed_dnn2", "gsf_electronseed_dnn3", "gsf_electronseed_dnn4", "gsf_electronseed_dnn5",
    "num_hits", "cluster_flags", "corr_energy", "corr_energy_err", "vx", "vy", "vz", "pterror", "etaerror", "phierror",
    "lambda", "lambdaerror", "theta", "thetaerror", "time", "timeerror",
    "etaerror1", "etaerror2", "etaerror3", "etaerror4", "phierror1", "phierror2", "phierror3", "phierror4",
    "sigma_x", "sigma_y", "sigma_z",
)  # fmt: skip
NUM_FEATURES = len(FEATURES)
FEATURE_INDEX: dict[str, int] = {name: i for i, name in enumerate(FEATURES)}

# Names of the graph inputs and outputs that the consumer knows.
ONNX_INPUTS = ("Xfeat_normed", "mask")
ONNX_OUTPUTS = ("bid", "id", "momentum")
# momentum output: pt = exp(log_pt_ratio) * element pt, energy = exp(log_energy_ratio) * element energy, the others absolute
MOMENTUM_COMPONENTS = ("log_pt_ratio", "eta", "sin_phi", "cos_phi", "log_energy_ratio")

# The Parquet dataset: one row per event, lists per element, particle, jet and edge. Element columns keep the ntuple's names and values.
_P4 = {"pt": "GeV", "eta": "", "phi": "rad", "energy": "GeV"}
_DIRECTION = {"pt": "GeV", "eta": "", "sin_phi": "", "cos_phi": "", "energy": "GeV"}


def _four_momentum(collection: str, units: dict[str, str]) -> tuple[Column, ...]:
    return tuple(Column(f"{collection}_{name}", "float32", unit, name) for name, unit in units.items())


TARGET = (
    *_four_momentum("target", _DIRECTION),
    *_ints(
        "target",
        {
            "pid": "|pdgId| of the highest-energy particle in the target (signed in the policy trackingparticle), 0 where there is none",
            "charge": "charge of the highest-weight particle [e]",
            "particle_number": "1 + index of the highest-weight particle, 0 where there is none",
            "class": "CandidateClass that a model is trained on",
            "jet_index": "jet of targets it belongs to, -1 if none",
        },
    ),
    *_floats("target", "", {"ispu": "energy fraction from pileup"}),
    *_floats("target", "GeV", {"cp_to_track": "link weights of its particles to tracks", "cp_to_cluster": "to all other elements"}),
)
CANDIDATE = (
    *_four_momentum("candidate", _DIRECTION),
    *_ints(
        "candidate",
        {
            "pid": "|pdgId| of rule-based particle flow's candidate (signed in the policy trackingparticle), 0 where there is none",
            "charge": "charge [e]",
            "class": "CandidateClass",
        },
    ),
)
DATASET = Layout(
    "dataset",
    Collection(
        "event",
        (
            Column("event", "int64", "", "event number"),
            Column("run", "int64", "", "run number"),
            Column("lumi", "int64", "", "luminosity block"),
            Column("source", "int32", "", "position in the manifest's list of sources: the input file, or the sample of a mixture"),
            Column("num_pileup", "int32", "", "pileup collisions of the same crossing with simulated particles, -1 where unknown"),
            Column("weight", "float32", "", "weight of the event in training, 1 where a dataset has none (mixtures may)"),
            *GENMET.columns,
        ),
        scalar=True,
    ),
    Collection("element", (Column("element_index", "int32", "", "position of the element in the ntuple"), *ELEMENT.columns, *TARGET, *CANDIDATE)),
    Collection("particle", (*_ints("particle", {"pdgid": "signed pdgId of a stable generator particle, no neutrinos"}), *_four_momentum("particle", _P4))),
    Collection("genjet", _four_momentum("genjet", _P4)),
    Collection("targetjet", _four_momentum("targetjet", _P4)),
    Collection(
        "edge",
        (
            *_ints("edge", {"source": "element (position in this row's lists)", "target": "element"}),
            *_floats("edge", "", {"distance": "PF link distance, which may be negative, or delta R"}),
            *_ints("edge", {"kind": "EdgeKind: bit 1 PF link, 2 within the radius, 4 among the nearest of either"}),
        ),
    ),
    Collection("candidateedge", _ints("candidateedge", {"source": "element that shares a standard candidate with ...", "target": "... this element"})),
    Collection("truthedge", _ints("truthedge", {"source": "element that shares a truth particle with ...", "target": "... this element"})),
)
IDENTITY = ("run", "lumi", "event")
"""What tells an event from all others of its sample."""
# Candidates of this library, as `mlpf evaluate` and `mlpf produce` write them.
CANDIDATES_TREE = "mlpf/candidates"
CANDIDATES = Layout(
    "candidates",
    EVENT,
    Collection(
        "mlpfcandidate",
        (
            *_four_momentum("mlpfcandidate", _P4),
            *_ints("mlpfcandidate", {"pdgid": "signed pdgId; 1, 2 in the HF", "charge": "charge [e]", "element": "its element in the ntuple"}),
            *_floats("mlpfcandidate", "", {"score": "probability that the element yields a particle", "pileup": "probability that it comes from pileup"}),
        ),
    ),
)


@cache
def digest() -> str:
    """SHA-256 (first 16 hex digits) over everything a file's meaning depends on: columns, types, classes, features."""
    contract = {
        "version": SCHEMA_VERSION,
        "columns": [[layout.name, c.name, c.dtype, c.unit] for layout in (NTUPLE, DATASET, CANDIDATES) for c in layout.columns.values()],
        "element_types": {t.name: int(t) for t in ElementType},
        "classes": CLASS_IDS,
        "edge_kinds": {k.name: int(k) for k in EdgeKind},
        "features": FEATURES,
    }
    return hashlib.sha256(json.dumps(contract, sort_keys=True).encode()).hexdigest()[:16]
