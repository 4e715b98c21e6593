"""EDM4hep files: tracks and clusters of reconstructed particles become elements, the particles candidates. `edm4hep_schema` has the mapping."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import uproot

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.io import edm4hep_schema as edm
from mlpf.io.deposits import shares
from mlpf.io.edm4hep_collections import Collections, find_collections, states_branch
from mlpf.io.foreign import ForeignFile, flat, read_table
from mlpf.io.foreign_chunk import STABLE, TRUTH_COLUMNS, ForeignChunk, Links
from mlpf.io.tables import Table, apply_rules, possible, stack

MAX_GENERATIONS = 1000  # a longer chain of parents goes in a circle
_RECONSTRUCTED = ("momentum.x", "momentum.y", "momentum.z", "energy", "charge", "mass")
_PDGID = ("PDG", "type")  # of reconstructed particles; `type` before EDM4hep 0.99
_RANGES = ("tracks_begin", "tracks_end", "clusters_begin", "clusters_end")
_PARTICLE = ("momentum.x", "momentum.y", "momentum.z", "mass", "charge", "PDG", "generatorStatus", "simulatorStatus", "parents_begin", "parents_end")
_STATE = ("D0", "Z0", "phi", "omega", "tanLambda", "referencePoint.x", "referencePoint.y", "referencePoint.z", "covMatrix")
_CLUSTER = ("energy", "energyError", "position.x", "position.y", "position.z")
_AXES = "xyz"


class Edm4hepChunk(ForeignChunk):
    """Events ``start`` to ``stop`` of an EDM4hep tree."""

    def __init__(self, tree: uproot.TTree, collections: Collections, source: str, start: int, stop: int) -> None:
        self._tree, self._collections, self._source, self._start, self._stop = tree, collections, source, start, stop
        self.num_events = stop - start

    @cached_property
    def scalars(self) -> dict[str, np.ndarray]:
        """Numbers of run and event from the header; without one the events are counted."""
        if not self._collections.header:
            return {"event": np.arange(self._start, self._stop)}
        header = self._table(self._collections.header, ("eventNumber", "runNumber"))
        if (np.diff(header.offsets) != 1).any():
            raise NtupleError(f"{self._source}: events {self._start} to {self._stop - 1}: {len(header)} headers; damaged?")
        return {"event": header["eventNumber"], "run": header["runNumber"]}

    @cached_property
    def gen(self) -> Table:
        """MCParticles."""
        return apply_rules(edm.GEN, self._particles)

    @cached_property
    def element(self) -> Table:
        """Tracks, then clusters."""
        return self._elements[0]

    @cached_property
    def pfcandidate(self) -> Table:
        """Reconstructed particles."""
        return apply_rules(edm.CANDIDATE, self._reconstructed)

    @property
    def genjet(self) -> Table:
        """None: there are no generator jets."""
        return Table(np.zeros(self.num_events + 1), {})

    @property
    def genmet(self) -> Table:
        """None, either."""
        return self.genjet

    @cached_property
    def tracks(self) -> Links:
        """Charged MCParticles to the track of the reconstructed particle that they are linked to."""
        particle, track = _join(self._tracks["owner"], *self._truth)
        return Links(particle, self._elements[1][track]).where(self.gen["charge"][particle] != 0)

    @cached_property
    def deposits(self) -> Links:
        """All MCParticles to the clusters of the reconstructed particle that they are linked to."""
        particle, cluster = _join(self._clusters["owner"], *self._truth)
        explained = np.zeros(len(self.gen), dtype=bool)
        explained[self.tracks.first] = True
        energy, pdgid = self.gen["energy"][particle], self.gen["pdgid"][particle]
        share = shares(cluster, energy, pdgid, explained[particle], self._clusters["energy"], self._clusters["electromagnetic"])
        return Links(particle, self._elements[2][cluster], share).where(share > 0)

    @cached_property
    def candidates(self) -> Links:
        """Tracks and clusters to their reconstructed particle."""
        _, tracks, clusters = self._elements
        return Links(np.concatenate([tracks, clusters]), np.concatenate([self._tracks["owner"], self._clusters["owner"]]))

    @cached_property
    def _elements(self) -> tuple[Table, np.ndarray, np.ndarray]:
        """Elements, and the rows of tracks and of clusters among them."""
        table, (tracks, clusters) = stack([apply_rules(edm.TRACK, self._tracks), apply_rules(edm.CLUSTER, self._clusters)])
        return table, tracks, clusters

    @cached_property
    def _particles(self) -> Table:
        return self._table(self._collections.particles, _PARTICLE)

    @cached_property
    def _reconstructed(self) -> Table:
        """Reconstructed particles; ``electromagnetic`` tells of which kind their clusters are."""
        electromagnetic = np.zeros(len(self._bare), dtype=bool)
        electromagnetic[self._clusters["owner"][self._clusters["electromagnetic"]]] = True
        return self._bare.with_columns({"electromagnetic": electromagnetic})

    @cached_property
    def _bare(self) -> Table:
        table = self._table(self._collections.reconstructed, (*_RECONSTRUCTED, *_PDGID, *_RANGES))
        return table.with_columns({"PDG": next(table[name] for name in _PDGID if name in table)})

    @cached_property
    def _tracks(self) -> Table:
        """First tracks of reconstructed particles, of all collections, with columns of their particle and of their first state."""
        tables = []
        for name, number in self._collections.tracks.items():
            tracks = self._owned("tracks", self._collections.tracks_of, name, number, ("trackStates_begin", "trackStates_end"))
            states = self._states(name, tracks)
            own = {f"particle.{member}": self._bare[member][tracks["owner"]] for member in _RECONSTRUCTED}
            tables.append(tracks.with_columns({**states, **own, "particle.pdgid": self.pfcandidate["pdgid"][tracks["owner"]]}))
        return stack(tables)[0] if tables else self._nothing("owner")

    @cached_property
    def _clusters(self) -> Table:
        """Clusters of reconstructed particles, of all collections."""
        tables = []
        for name, number in self._collections.clusters.items():
            clusters = self._owned("clusters", self._collections.clusters_of, name, number, _CLUSTER)
            own = {axis: self._bare[f"momentum.{axis}"][clusters["owner"]] for axis in _AXES}
            has_position = np.any([clusters[f"position.{axis}"] != 0 for axis in _AXES], axis=0)
            direction = {f"direction.{axis}": np.where(has_position, clusters[f"position.{axis}"], own[axis]) for axis in _AXES}
            tables.append(clusters.with_columns({**direction, "electromagnetic": _electromagnetic(name, self._bare["PDG"][clusters["owner"]])}))
        return stack(tables)[0] if tables else self._nothing("owner", "electromagnetic", "energy")

    def _nothing(self, *columns: str) -> Table:
        return Table(np.zeros(self.num_events + 1), {name: np.zeros(0, dtype=bool if name == "electromagnetic" else np.int64) for name in columns})

    def _owned(self, kind: str, relation: str, name: str, number: int, members: Sequence[str]) -> Table:
        """Objects of a collection that belong to reconstructed particles, with the row of the first of these as ``owner``."""
        objects, entries, particles = self._table(name, members), self._table(relation, ("index", "collectionID")), self._bare
        begin, end = particles[f"{kind}_begin"].astype(np.int64), particles[f"{kind}_end"].astype(np.int64)
        if kind == "tracks":
            end = np.minimum(end, begin + 1)  # of several tracks none has the particle's momentum; the first stands for all
        self._require((begin >= 0) & (begin <= end) & (end <= np.diff(entries.offsets)[particles.event]), relation)
        counts = end - begin
        particle = np.repeat(np.arange(len(particles)), counts)
        entry = np.repeat(entries.offsets[particles.event] + begin - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        chosen = entries["collectionID"][entry] == number
        particle, index = particle[chosen], entries["index"][entry[chosen]]
        event = particles.event[particle]
        self._require((index >= 0) & (index < np.diff(objects.offsets)[event]), relation)
        owner = np.full(len(objects), -1)
        owner[(objects.offsets[event] + index)[::-1]] = particle[::-1]
        return objects.with_columns({"owner": owner}).where(owner >= 0)

    def _states(self, name: str, tracks: Table) -> dict[str, np.ndarray]:
        """Columns of the first state of each track, 0 for tracks without."""
        branch = states_branch(self._tree.keys(recursive=False), name)
        if not branch:
            return {}
        states = self._table(branch, _STATE)
        begin, sizes = tracks["trackStates_begin"].astype(np.int64), np.diff(states.offsets)[tracks.event]
        has_state = (begin >= 0) & (begin < np.minimum(tracks["trackStates_end"], sizes))
        row = np.where(has_state, states.offsets[:-1][tracks.event] + begin, 0)
        return {f"state.{member}": _rows(values, row, has_state) for member, values in states.columns.items()}

    @cached_property
    def _truth(self) -> tuple[np.ndarray, np.ndarray]:
        """``(L,)`` rows of reconstructed particles and of the MCParticles that they are linked to; each pair once."""
        if not self._collections.link_from or not self._collections.particles:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        ends = [self._table(branch, ("index", "collectionID")) for branch in (self._collections.link_from, self._collections.link_to)]
        if not np.array_equal(ends[0].offsets, ends[1].offsets):
            raise NtupleError(f"{self._source}: events {self._start} to {self._stop - 1}: links with one end; damaged?")
        rows, kept = [], np.ones(len(ends[0]), dtype=bool)
        for end, table, name in zip(ends, (self._bare, self._particles), (self._collections.reconstructed, self._collections.particles), strict=True):
            number = self._collections.ids.get(name)
            kept &= (end["index"] >= 0) & (end["index"] < np.diff(table.offsets)[end.event])
            kept &= (number is None) | (end["collectionID"] == number)
            rows.append(table.offsets[:-1][end.event] + end["index"])
        pairs = np.unique(np.column_stack([rows[0][kept], self._stable_ancestor(rows[1][kept])]), axis=0)
        return pairs[:, 0], pairs[:, 1]

    def _stable_ancestor(self, row: np.ndarray) -> np.ndarray:
        """Rows of particles -> of themselves, or of the nearest stable particle of the generator that they come from; unchanged where there is none."""
        parents = self._table(self._collections.parents, ("index",)) if self._collections.parents else None
        if parents is None:
            return row
        particles = self._particles
        begin, sizes = particles["parents_begin"].astype(np.int64), np.diff(parents.offsets)[particles.event]
        has_parent = (begin >= 0) & (begin < np.minimum(particles["parents_end"], sizes))
        entry = np.where(has_parent, parents.offsets[:-1][particles.event] + begin, 0)
        parent = particles.offsets[:-1][particles.event] + _rows(parents["index"], entry, has_parent)
        self._require(~has_parent | ((parent >= 0) & (parent < len(particles))), self._collections.parents)
        step = np.where(has_parent & (particles["generatorStatus"] != STABLE), parent, np.arange(len(particles)))
        found = row
        for _ in range(MAX_GENERATIONS):
            further = step[found]
            if np.array_equal(further, found):
                break
            found = further
        return np.where(particles["generatorStatus"][found] == STABLE, found, row)

    def _require(self, holds: np.ndarray, branch: str) -> None:
        if not holds.all():
            raise NtupleError(f"{self._source}: events {self._start} to {self._stop - 1}: {branch}: points outside its collection; damaged?")

    def _table(self, collection: str, members: Sequence[str]) -> Table:
        """The members of a collection, or ends of a relation, that the file has; an empty table of them where it lacks the collection."""
        if not collection:
            return Table(np.zeros(self.num_events + 1), {name: np.zeros(0) for name in members})
        branches = _members(self._tree[collection])
        have = [name for name in members if name in branches]
        start, stop = self._start, self._stop
        return read_table(have, lambda name: flat(branches[name].array(entry_start=start, entry_stop=stop)), f"{self._source}: {collection}", start, stop)


class Edm4hepFile(ForeignFile):
    """One open EDM4hep file; see `ForeignFile`."""

    tree_path = edm.TREE
    version = "EDM4hep"

    def _find_branches(self) -> dict[str, str]:
        self._collections = c = find_collections(self._file, self._tree, f"{self.path}: {edm.TREE}")
        has = {name: _members(self._tree[name]) for name in (c.particles, c.reconstructed, *c.tracks, *c.clusters) if name}
        states = [_members(self._tree[branch]) for name in c.tracks if (branch := states_branch(self._tree.keys(recursive=False), name))]
        derived = ["PDG", "electromagnetic", *(f"direction.{axis}" for axis in _AXES)]
        of_track = [*(f"particle.{name}" for name in (*_RECONSTRUCTED, "pdgid")), *(f"state.{name}" for members in states for name in members)]
        found = {"event": f"{c.header}.eventNumber", "run": f"{c.header}.runNumber"} if c.header else {"event": "number of the entry"}
        for collection, rules, names, more in (
            ("gen", edm.GEN, [c.particles] if c.particles else [], []),
            ("element", edm.TRACK, [*c.tracks], of_track),
            ("element", edm.CLUSTER, [*c.clusters], derived),
            ("pfcandidate", edm.CANDIDATE, [c.reconstructed], derived),
        ):
            for name in names:
                for column, r in possible(rules, [*has[name], *more]).items():
                    known, text = found.get(f"{collection}_{column}"), f"{name}: {', '.join(r.members)}" if r.members else name
                    found[f"{collection}_{column}"] = f"{known}; {text}" if known else text
        found |= dict.fromkeys(("element_to_candidate.first", "element_to_candidate.second"), f"{c.tracks_of}, {c.clusters_of}")
        if c.particles and c.link_from:
            found |= dict.fromkeys(TRUTH_COLUMNS, f"stable {c.particles}; {c.link_from}, {c.link_to}")
        return {name: found[name] for name in schema.NTUPLE.columns if name in found}

    @property
    def _bytes(self) -> int:
        c = self._collections
        names = (c.particles, c.reconstructed, c.header, *c.tracks, *c.clusters, c.parents, c.tracks_of, c.clusters_of, c.link_from, c.link_to)
        return sum(branch.uncompressed_bytes for name in names if name for branch in self._tree[name].branches)

    def _chunk(self, start: int, stop: int) -> Edm4hepChunk:
        return Edm4hepChunk(self._tree, self._collections, str(self.path), start, stop)


def _members(branch: uproot.TBranch) -> dict[str, uproot.TBranch]:
    """Member -> branch; of arrays like ``covMatrix.values[21]`` only the first word counts."""
    names = [member.name.removeprefix(f"{branch.name}.") for member in branch.branches]
    return {name.split("[")[0].removesuffix(".values"): member for name, member in zip(names, branch.branches, strict=True)}


def _electromagnetic(collection: str, pdgid: np.ndarray) -> np.ndarray:
    """Which clusters are electromagnetic: by the collection's name, else by the particle that they belong to."""
    by_name = next((kind for part, kind in edm.ELECTROMAGNETIC.items() if part in collection.lower()), None)
    return np.isin(np.abs(pdgid), edm.ELECTROMAGNETIC_PIDS) if by_name is None else np.full(len(pdgid), by_name)


def _rows(values: np.ndarray, row: np.ndarray, has_row: np.ndarray) -> np.ndarray:
    """``values[row]``, 0 where there is no such row."""
    if not len(values):
        return np.zeros((len(row), *values.shape[1:]), values.dtype)
    return np.where(has_row.reshape(-1, *(1,) * (values.ndim - 1)), values[row], 0)


def _join(owner: np.ndarray, linked: np.ndarray, particle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Particles of objects, through what both belong to.

    Args:
        owner: ``(N,)`` reconstructed particle of every object.
        linked, particle: ``(L,)`` reconstructed particle and MCParticle of every link, by rising ``linked``.

    Returns:
        MCParticle and object of every pair.
    """
    first, last = np.searchsorted(linked, owner, side="left"), np.searchsorted(linked, owner, side="right")
    counts = last - first
    entry = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    return particle[entry], np.repeat(np.arange(len(owner)), counts)
