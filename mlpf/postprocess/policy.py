"""The choices of the postprocessing, as data: every threshold, order and map has a name, and the dataset's manifest records them.

A parameter file changes them in its section ``postprocess``:

    postprocess:
      policy: caloparticle
      caloparticle: {split_radius: 0.3, supercluster_class: particle}
"""

from collections.abc import Container
from typing import ClassVar, Literal

import pydantic

from mlpf.config import Config, TypeName
from mlpf.schema import CLASS_IDS, CandidateClass, ElementType

Types = tuple[TypeName, ...]
Edges = tuple[Literal["links", "radius", "knn"], ...]

_PARTICLES = tuple(c for c in CLASS_IDS if c)
_PF_LINKS = ("element_distance_i", "element_distance_j", "element_distance_d")
_CHARGED_TO_NEUTRAL = {211: 130, 11: 130, 13: 130}


class Policy(Config):
    """What both policies share: classes, candidates, generator particles and jets."""

    name: ClassVar[str]
    required_columns: ClassVar[tuple[str, ...]]
    """Truth columns without which the policy means nothing."""
    optional_truth_columns: ClassVar[tuple[str, ...]]
    """Further truth columns that only this policy reads."""

    dropped_types: Types = ()
    """Elements that leave the event, and whose links are ignored throughout."""
    pt_from_energy_types: Types = ()
    """Elements whose pt is set to energy / cosh(eta)."""
    carried_classes: dict[TypeName, dict[int, int]] = {
        ElementType.TRACK: {130: 211, 22: 211},
        ElementType.ECAL: {211: 22, 13: 22},
        ElementType.HCAL: _CHARGED_TO_NEUTRAL,
        ElementType.HFEM: dict.fromkeys(_PARTICLES, int(CandidateClass.HF_EM)),
        ElementType.HFHAD: dict.fromkeys(_PARTICLES, int(CandidateClass.HF_HADRON)),
        ElementType.SC: _CHARGED_TO_NEUTRAL,
        ElementType.HO: _CHARGED_TO_NEUTRAL,
    }
    """Per element type, the classes that it cannot carry and what a target of such a class becomes."""
    supercluster_class: Literal["none", "particle"] = "none"
    """Class of superclusters' targets. ``none``: 0, since the consumer gives superclusters pt 0; ``particle``: like any other element's."""
    candidate_track_pids: tuple[int, ...]
    """|pdgId| of the candidates that belong to a track."""
    candidate_track_types: Types
    """Elements that such a candidate may take."""
    candidate_other_types: Types
    """Elements that all other candidates may take."""
    stable_status: int = 1
    """Generator status of stable particles."""
    invisible_pids: tuple[int, ...] = (12, 14, 16)
    """|pdgId| of generator particles that count for missing momentum only."""
    jet_radius: float = pydantic.Field(default=0.4, gt=0, le=1000)
    """Distance parameter of the anti-kt jets."""
    jet_min_pt: float = pydantic.Field(default=3.0, ge=0)
    """Jets below are left out [GeV]."""
    edges: Edges = ()
    """Pairs of elements to store as edges: the ntuple's PF ``links``, those within the ``radius`` edge_radius, the ``knn``, edge_neighbors nearest ones."""
    edge_radius: float = pydantic.Field(default=0.2, ge=0, allow_inf_nan=False)
    """Elements closer than this in delta R are joined by an edge, if edges names ``radius``."""
    edge_neighbors: int = pydantic.Field(default=16, ge=0)
    """Every element is joined with so many nearest ones in delta R, if edges names ``knn``."""

    @property
    def optional_columns(self) -> tuple[str, ...]:
        """Columns read where the ntuple has them, beyond those that all policies read."""
        return (*self.optional_truth_columns, *(_PF_LINKS if "links" in self.edges else ()))


class CaloParticlePolicy(Policy):
    """Targets from CaloParticles, for ntuples that hold them."""

    name: ClassVar[str] = "caloparticle"
    required_columns: ClassVar[tuple[str, ...]] = (
        *(f"caloparticle_{name}" for name in ("pt", "eta", "phi", "energy", "pid", "charge", "idx_trackingparticle")),
        *(f"simcluster_{name}" for name in ("eta", "phi", "idx_trackingparticle", "idx_caloparticle")),
        *(
            f"{truth}_to_element{part}"
            for truth in ("trackingparticle", "caloparticle", "simcluster")
            for part in (".first", ".second", "_cmp")
        ),
    )  # fmt: skip
    optional_truth_columns: ClassVar[tuple[str, ...]] = ("caloparticle_ev", "caloparticle_bx", "trackingparticle_pt")

    dropped_types: Types = (ElementType.PS1, ElementType.PS2, ElementType.BREM)
    pt_from_energy_types: Types = (ElementType.HO,)
    orphan_min_pt: float = 1.0
    """TRACK elements above this pt [GeV] that have no link get one from every SimCluster near by."""
    orphan_radius: float = pydantic.Field(default=0.05, ge=0)
    """How near: distance in (eta, sin phi, cos phi), inclusive."""
    electron_pids: tuple[int, ...] = (11,)
    """|pid| of the only particles that GSF elements stay linked to, and that are never split."""
    split_radius: float = pydantic.Field(default=0.4, ge=0)
    """Tracks within this delta R of their CaloParticle (exclusive) share it, where there is more than one."""
    type_order: Types = (
        ElementType.GSF,
        ElementType.TRACK,
        ElementType.ECAL,
        ElementType.HCAL,
        ElementType.HFEM,
        ElementType.HFHAD,
        ElementType.SC,
        ElementType.HO,
    )
    """Order in which elements take their CaloParticle; types that are not listed take none."""
    candidate_track_pids: tuple[int, ...] = (211, 13, 11)
    candidate_track_types: Types = (ElementType.TRACK, ElementType.GSF)
    candidate_other_types: Types = tuple(ElementType)


class TrackingParticlePolicy(Policy):
    """Targets from TrackingParticles and the SimClusters that have none, for the ntuples of 2020. Its pids are signed."""

    name: ClassVar[str] = "trackingparticle"
    required_columns: ClassVar[tuple[str, ...]] = (
        *(f"{truth}_{name}" for truth in ("trackingparticle", "simcluster") for name in ("pt", "eta", "phi", "energy", "pid")),
        "simcluster_idx_trackingparticle",
        "trackingparticle_to_element.first",
        "trackingparticle_to_element.second",
        "simcluster_to_element.first",
        "simcluster_to_element.second",
        "simcluster_to_element_cmp",
    )
    optional_truth_columns: ClassVar[tuple[str, ...]] = ("trackingparticle_ev", "trackingparticle_bx", "simcluster_ev")

    track_link_weight: float = 99999.0
    """Weight of the links of TrackingParticles, above any energy."""
    min_link_energy: float = 0.01
    """Links of SimClusters below are removed [GeV]."""
    supercluster_link_weight: float = 1.0
    """Weight of all links into SC elements, whose own are fractions; links of exactly this weight are exempt from `min_link_fraction`."""
    min_truth_energy: float = 0.2
    """Truth particles below are removed; those above count in targets [GeV]."""
    min_link_fraction: float = 0.05
    """Links of an element below this fraction of its largest are removed."""
    never_types: Types = (ElementType.PS1, ElementType.PS2, ElementType.BREM, ElementType.SC)
    """Elements that get no target."""
    pid_groups: dict[int, tuple[int, ...]] = {
        211: (211, 2212, 321, -3112, 3222, -3312, -3334),
        -211: (-211, -2212, -321, 3112, -3222, 3312, 3334),
        130: (111, 130, 310, 2112, -2112, 3122, -3122, 3322, -3322),
        22: (22,),
        11: (11,),
        -11: (-11,),
        13: (13,),
        -13: (-13,),
    }
    """Target pid -> signed pids of truth that it stands for; all others become 0."""
    forward_eta: float = 3.0
    """Beyond this |eta| HFHAD and HFEM elements have targets of pid 1 or 2."""
    electromagnetic_pids: tuple[int, ...] = (22, 11)
    """|pid| of what is 2 in a HFEM element and 130 in an HCAL element."""
    edges: Edges = ("links", "radius")
    candidate_track_pids: tuple[int, ...] = (211, 13)
    candidate_track_types: Types = (ElementType.TRACK,)
    candidate_other_types: Types = (ElementType.ECAL, ElementType.HCAL, ElementType.HFEM, ElementType.HFHAD, ElementType.SC)


AnyPolicy = CaloParticlePolicy | TrackingParticlePolicy


class PostprocessConfig(Config):
    """Section ``postprocess`` of a parameter file."""

    policy: Literal["auto", "caloparticle", "trackingparticle"] = "auto"
    """Which policy makes the targets; ``auto``: caloparticle where the ntuple holds CaloParticles, else trackingparticle."""
    caloparticle: CaloParticlePolicy = CaloParticlePolicy()
    """Choices of that policy."""
    trackingparticle: TrackingParticlePolicy = TrackingParticlePolicy()
    """Choices of that policy."""

    def choose(self, columns: Container[str]) -> AnyPolicy:
        """The choices for an ntuple with these columns."""
        by_name: dict[str, AnyPolicy] = {policy.name: policy for policy in (self.caloparticle, self.trackingparticle)}
        automatic = "caloparticle" if "caloparticle_pt" in columns else "trackingparticle"
        return by_name[automatic if self.policy == "auto" else self.policy]
