"""Random ntuple events, for tests and benchmarks of everything that reads an ntuple; `mlpf.testing` exports `random_events`."""

import numpy as np

from mlpf import schema
from mlpf.events import Events, event_index, index_in_event, offsets_from_counts
from mlpf.kinematics import wrap_phi
from mlpf.schema import ElementType

# Share of each type among the elements of a random event; roughly that of ttbar with pileup.
_TYPE_SHARES = {
    ElementType.TRACK: 0.33,
    ElementType.PS1: 0.03,
    ElementType.PS2: 0.03,
    ElementType.ECAL: 0.22,
    ElementType.HCAL: 0.16,
    ElementType.GSF: 0.03,
    ElementType.BREM: 0.04,
    ElementType.HFEM: 0.05,
    ElementType.HFHAD: 0.05,
    ElementType.SC: 0.03,
    ElementType.HO: 0.03,
}
_TRUTH_PIDS = np.array([22, 211, -211, 130, 11, -11, 13, -13, 321, 2112, 3112, 2212, 111, 1000010020])
_PF_PDGIDS = np.array([211, -211, 130, 22, 11, -11, 13, -13, 1, 2])


def random_events(rng: np.random.Generator, num_events: int, mean_elements: float = 40, version: str = "2026", ties: bool = False) -> Events:
    """Ntuple events made of random numbers: valid links between collections that resemble real ones, but no physics.

    Some events lack elements, truth or candidates; some pairs are linked twice, some elements and particles not at all.

    Args:
        rng: source of randomness; equal generators give equal events.
        num_events: B.
        mean_elements: mean number of elements of an event; all other collections scale with it.
        version: ntuple version, which decides on the columns.
        ties: round momenta, directions and weights, so that many are equal.

    Returns:
        events with all columns of the version.
    """
    make = _Maker(rng, num_events, ties)
    make.truth(mean_elements)
    make.elements(mean_elements)
    make.links()
    make.generator_and_candidates(mean_elements)
    columns = {name: values for name, values in make.columns.items() if version in schema.NTUPLE.columns[name].versions}
    for column in schema.NTUPLE.columns.values():  # whatever is left has no meaning for links
        if version in column.versions and column.name not in columns:
            size = make.size(schema.NTUPLE.collection_of[column.name])
            columns[column.name] = make.rounded(rng.normal(size=size)) if column.dtype == "float32" else rng.integers(0, 3, size)
    present = {schema.NTUPLE.collection_of[name] for name in columns}
    return Events(columns, {name: values for name, values in make.offsets.items() if name in present}, num_events, "random events")


class _Maker:
    """Collects the columns of random events, flat through all of them; indices are local to their event."""

    def __init__(self, rng: np.random.Generator, num_events: int, ties: bool) -> None:
        self.rng = rng
        self.num_events = num_events
        self.ties = ties
        self.columns: dict[str, np.ndarray] = {"event": np.arange(1, num_events + 1), "run": np.ones(num_events), "lumi": np.arange(num_events) // 100 + 1}
        self.offsets: dict[str, np.ndarray] = {}

    def truth(self, mean_elements: float) -> None:
        """CaloParticles anywhere; SimClusters and TrackingParticles near one of them."""
        self.collection("caloparticle", mean_elements / 3)
        self.momenta("caloparticle", *self.anywhere(self.size("caloparticle")))
        for name, mean in (("trackingparticle", mean_elements / 4), ("simcluster", mean_elements / 2)):
            self.collection(name, mean)
            parent = self.choose(name, "caloparticle", none=0.0)
            self.momenta(name, *self.near("caloparticle", self.flat(name, "caloparticle", parent), 0.03))
            if name == "simcluster":
                self.columns["simcluster_idx_caloparticle"] = parent
        for name in ("caloparticle", "trackingparticle", "simcluster"):
            self.columns[f"{name}_pid"] = self.rng.choice(_TRUTH_PIDS, self.size(name))
            self.columns[f"{name}_charge"] = self.rng.integers(-1, 2, self.size(name))
            self.columns[f"{name}_ev"] = self.rng.integers(0, 3, self.size(name))
        for name in ("caloparticle", "simcluster"):
            self.columns[f"{name}_idx_trackingparticle"] = self.choose(name, "trackingparticle", none=0.4)

    def elements(self, mean_elements: float) -> None:
        """Elements near a CaloParticle, their parent."""
        self.collection("element", mean_elements)
        size = self.size("element")
        types = self.rng.choice(list(_TYPE_SHARES), size, p=list(_TYPE_SHARES.values()))
        self.parent = self.choose("element", "caloparticle", none=0.0)
        self.momenta("element", *self.near("caloparticle", self.flat("element", "caloparticle", self.parent), 0.1))
        self.columns["element_pt"] = np.where(np.isin(types, (ElementType.SC, ElementType.BREM)), 0, self.columns["element_pt"])
        self.columns["element_type"] = types
        charged = np.isin(types, (ElementType.TRACK, ElementType.GSF))
        self.columns["element_charge"] = np.where(charged, self.rng.choice([-1, 1], size), 0)
        self.collection("element_distance", mean_elements)
        for end in "ij":
            self.columns[f"element_distance_{end}"] = self.choose("element_distance", "element", none=0.0)
        self.drop_unlinked("element_distance", "element_distance_i", "element_distance_j")

    def links(self) -> None:
        """Most elements are linked to their parent or its SimClusters, some to anything, some twice."""
        for truth, second in (("trackingparticle", "element"), ("caloparticle", "element"), ("simcluster", "element"), ("caloparticle", "simcluster")):
            name = f"{truth}_to_{second}"
            self.offsets[name] = self.offsets[second] * 2
            source = np.tile(np.arange(self.size(second)), (2, 1)).T.ravel()
            local = index_in_event(self.offsets[second])
            self.columns[f"{name}.second"] = local[source]
            first = self.choose(name, truth, none=0.5)
            if truth == "caloparticle" and second == "element":
                first = np.where(self.rng.random(len(first)) < 0.4, self.parent[source], first)
            self.columns[f"{name}.first"] = first
            if second == "element":
                self.columns[f"{name}_cmp"] = self.rounded(self.rng.exponential(3.0, len(first)) * (self.rng.random(len(first)) > 0.05))
            self.drop_unlinked(name, f"{name}.first", f"{name}.second")

    def generator_and_candidates(self, mean_elements: float) -> None:
        """Generator particles and standard candidates, the latter linked to a few elements each."""
        for name, mean in (("gen", mean_elements / 2), ("pfcandidate", mean_elements / 2), ("genjet", 2)):
            self.collection(name, mean)
            self.momenta(name, *self.anywhere(self.size(name)))
        self.columns["gen_pdgid"] = self.rng.choice([211, -211, 22, 130, 12, -14, 16, 13], self.size("gen"))
        self.columns["gen_status"] = self.rng.choice([1, 1, 1, 2, 21], self.size("gen"))
        self.columns["pfcandidate_pdgid"] = self.rng.choice(_PF_PDGIDS, self.size("pfcandidate"))
        self.collection("element_to_candidate", mean_elements)
        self.columns["element_to_candidate.first"] = self.choose("element_to_candidate", "element", none=0.0)
        self.columns["element_to_candidate.second"] = self.choose("element_to_candidate", "pfcandidate", none=0.0)
        self.drop_unlinked("element_to_candidate", "element_to_candidate.first", "element_to_candidate.second")
        self.offsets["genmet"] = offsets_from_counts(self.rng.random(self.num_events) < 0.9)
        self.columns["genmet_pt"] = self.rounded(self.rng.exponential(20.0, self.size("genmet")))
        self.columns["genmet_phi"] = self.rng.uniform(-np.pi, np.pi, self.size("genmet"))

    def size(self, collection: str) -> int:
        """Entries in all events together."""
        return self.num_events if schema.NTUPLE.collections[collection].scalar else int(self.offsets[collection][-1])

    def collection(self, name: str, mean: float) -> None:
        """Draw how many entries each event has; one event in thirty has none."""
        counts = self.rng.poisson(mean, self.num_events) * (self.rng.random(self.num_events) > 1 / 30)
        self.offsets[name] = offsets_from_counts(counts)

    def choose(self, collection: str, target: str, none: float) -> np.ndarray:
        """For each entry of a collection an index into its event's ``target``; -1 with probability ``none`` and where there is nothing."""
        counts = np.repeat(np.diff(self.offsets[target]), np.diff(self.offsets[collection]))
        index = (self.rng.random(len(counts)) * counts).astype(np.int64)
        return np.where((counts == 0) | (self.rng.random(len(counts)) < none), -1, index)

    def flat(self, collection: str, target: str, index: np.ndarray) -> np.ndarray:
        """Indices local to an event -> indices through all events; -1 stays."""
        return np.where(index >= 0, index + self.offsets[target][event_index(self.offsets[collection])], -1)

    def drop_unlinked(self, name: str, first: str, second: str) -> None:
        """Remove the links of which an end is -1."""
        kept = (self.columns[first] >= 0) & (self.columns[second] >= 0)
        event = event_index(self.offsets[name])[kept]
        for column in schema.NTUPLE.names(name):
            if column in self.columns:
                self.columns[column] = self.columns[column][kept]
        self.offsets[name] = offsets_from_counts(np.bincount(event, minlength=self.num_events))

    def anywhere(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Directions (eta, phi) over the whole detector."""
        return self.rng.normal(0.0, 2.0, size).clip(-5.2, 5.2), self.rng.uniform(-np.pi, np.pi, size)

    def near(self, collection: str, index: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Directions near those of other entries; anywhere for index -1."""
        eta, phi = self.anywhere(len(index))
        other_eta, other_phi = (np.append(self.columns[f"{collection}_{name}"], 0.0)[index] for name in ("eta", "phi"))
        shift_eta, shift_phi = self.rng.normal(0.0, width, (2, len(index)))
        return np.where(index < 0, eta, other_eta + shift_eta), np.where(index < 0, phi, other_phi + shift_phi)

    def momenta(self, collection: str, eta: np.ndarray, phi: np.ndarray) -> None:
        """Set pt, eta, phi and energy of a collection."""
        # 0.07: neither 0.05, 0.2 nor 0.4, the radii of the postprocessing, is a distance between points of this grid
        eta, phi = (0.07 * np.round(eta / 0.07), 0.07 * np.round(phi / 0.07)) if self.ties else (eta, phi)
        pt = self.rounded(0.1 + self.rng.exponential(4.0, len(eta)))
        values = {"pt": pt, "eta": eta, "phi": wrap_phi(phi), "energy": pt * np.cosh(eta)}
        self.columns |= {f"{collection}_{name}": value.astype(np.float32) for name, value in values.items()}

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """The values, or where ties are wanted, their nearest integers."""
        return np.round(values) if self.ties else values
