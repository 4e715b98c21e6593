"""Delphes files: tracks and towers become elements, e-flow objects candidates, stable particles the truth. `delphes_schema` has the mapping."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import awkward as ak
import numpy as np
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.io import delphes_schema as delphes
from mlpf.io.delphes_collections import Branches, columns_of, find_members, first_group, first_of, has_member
from mlpf.io.deposits import shares
from mlpf.io.foreign import ForeignFile, flat, read_table
from mlpf.io.foreign_chunk import TRUTH_COLUMNS, ForeignChunk, Links
from mlpf.io.root_references import parse_reference_arrays, resolve
from mlpf.io.tables import Rules, Table, apply_rules, first_match, members_of, stack


class Clusters(NamedTuple):
    """Energies in towers, one row per tower and calorimeter in which it has energy.

    Attributes:
        table: ``energy``, ``em`` and the members of the towers.
        cluster, particle: ``(P,)`` rows of the table and of the particles that Delphes lists in its tower.
    """

    table: Table
    cluster: np.ndarray
    particle: np.ndarray


class DelphesChunk(ForeignChunk):
    """Events ``start`` to ``stop`` of a Delphes tree."""

    def __init__(self, branches: Branches, source: str, start: int, stop: int) -> None:
        self._branches, self._source, self._start, self._stop = branches, source, start, stop
        self.num_events = stop - start

    @cached_property
    def scalars(self) -> dict[str, np.ndarray]:
        """The event's number; without one the events are counted."""
        if not has_member(self._branches, delphes.EVENT_NUMBER):
            return {"event": np.arange(self._start, self._stop)}
        collection, member = delphes.EVENT_NUMBER.split(".")
        counts, numbers = flat(self._array(collection, member))
        if (counts != 1).any():
            event = int(np.argmax(counts != 1))
            raise NtupleError(f"{self._source}: event {self._start + event}: {counts[event]} values of {delphes.EVENT_NUMBER}, not 1; damaged?")
        return {"event": numbers}

    @cached_property
    def gen(self) -> Table:
        """``Particle``, with ``ev`` 0 in files that tell no pileup."""
        particles = apply_rules(delphes.GEN, self._particles)
        return particles if "ev" in particles else particles.with_columns({"ev": np.zeros(len(particles), dtype=np.int32)})

    @cached_property
    def element(self) -> Table:
        """Tracks, then clusters."""
        return self._elements[0]

    @cached_property
    def pfcandidate(self) -> Table:
        """E-flow tracks, then e-flow towers."""
        return self._candidates[0]

    @cached_property
    def genjet(self) -> Table:
        """``GenJet``."""
        return apply_rules(delphes.GENJET, self._table(delphes.GEN_JETS, members_of(delphes.GENJET)))

    @cached_property
    def genmet(self) -> Table:
        """``GenMissingET``."""
        return apply_rules(delphes.GENMET, self._table(delphes.GEN_MET, members_of(delphes.GENMET)))

    @cached_property
    def tracks(self) -> Links:
        """By ``Track.Particle``."""
        links = Links(self._track_particle, self._elements[1])
        return links.where(links.first >= 0)

    @cached_property
    def deposits(self) -> Links:
        """By ``Tower.Particles``."""
        table, cluster, particle = self._clusters
        explained = self._has_track[particle] & (self._flow_clusters is self._clusters)  # e-flow towers hold what tracks leave over
        energy, pdgid = self.gen["energy"][particle], self.gen["pdgid"][particle]
        share = shares(cluster, energy, pdgid, explained, table["energy"], table["em"])
        return Links(particle, self._elements[2][cluster], share).where(share > 0)

    @cached_property
    def candidates(self) -> Links:
        """E-flow tracks go with the track of the same particle, e-flow towers with the tower of the same edges."""
        _, track_rows, cluster_rows = self._candidates
        particle = self._flow_tracks[1]
        track = np.where(particle >= 0, first_match(self._track_particle, particle), -1)
        cluster = first_match(_tower_keys(self._clusters.table), _tower_keys(self._flow_clusters.table))
        element = np.concatenate([_at(self._elements[1], track), _at(self._elements[2], cluster)])
        links = Links(element, np.concatenate([track_rows, cluster_rows]))
        return links.where(element >= 0)

    @cached_property
    def _has_track(self) -> np.ndarray:
        has_track = np.zeros(len(self.gen), dtype=bool)
        has_track[self.tracks.first] = True
        return has_track

    @cached_property
    def _elements(self) -> tuple[Table, np.ndarray, np.ndarray]:
        """Elements, and the rows of tracks and of clusters among them."""
        table, (tracks, clusters) = stack([apply_rules(delphes.TRACK, self._tracks), apply_rules(delphes.CLUSTER, self._clusters.table)])
        return table, tracks, clusters

    @cached_property
    def _candidates(self) -> tuple[Table, np.ndarray, np.ndarray]:
        flow_tracks = apply_rules(delphes.TRACK_CANDIDATE, self._flow_tracks[0])
        table, (tracks, clusters) = stack([flow_tracks, apply_rules(delphes.CLUSTER_CANDIDATE, self._flow_clusters.table)])
        return table, tracks, clusters

    @cached_property
    def _particles(self) -> Table:
        return self._table(delphes.PARTICLES, (*members_of(delphes.GEN), "fUniqueID"))

    @cached_property
    def _tracks(self) -> Table:
        return self._table(first_of(self._branches, delphes.TRACKS), members_of(delphes.TRACK))

    @cached_property
    def _flow_tracks(self) -> tuple[Table, np.ndarray]:
        """E-flow tracks and their particles, without those that the e-flow scaled to nothing (their eta is made up)."""
        table = self._table(delphes.FLOW_TRACKS, members_of(delphes.TRACK_CANDIDATE))
        kept = table["PT"] > 0
        return table.where(kept), self._particle_of(delphes.FLOW_TRACKS)[kept]

    @cached_property
    def _track_particle(self) -> np.ndarray:
        return self._particle_of(first_of(self._branches, delphes.TRACKS))

    @cached_property
    def _clusters(self) -> Clusters:
        return self._read_clusters(first_group(self._branches, delphes.TOWERS))

    @cached_property
    def _flow_clusters(self) -> Clusters:
        group = first_group(self._branches, delphes.FLOW_TOWERS)
        return self._clusters if group == first_group(self._branches, delphes.TOWERS) else self._read_clusters(group)

    def _read_clusters(self, collections: Sequence[str]) -> Clusters:
        """Clusters of all the collections; of none an empty table."""
        tables, cluster, particle = [], [], []
        for collection in collections:
            towers = self._table(collection, delphes.TOWER_MEMBERS)
            tower, listed = self._particles_of_towers(collection, towers)
            for member, em in delphes.TOWER_ENERGIES.items():
                kept = towers[member] > 0
                part = towers.where(kept)
                tables.append(part.with_columns({"energy": part[member], "em": np.full(len(part), em)}))
                row = np.where(kept, np.cumsum(kept) - 1, -1)[tower]
                cluster.append(row[row >= 0])
                particle.append(listed[row >= 0])
        if not tables:
            nothing = dict.fromkeys((*delphes.TOWER_MEMBERS, "energy"), np.zeros(0)) | {"em": np.zeros(0, dtype=bool), "Edges[4]": np.zeros((0, 4))}
            return Clusters(Table(np.zeros(self.num_events + 1), nothing), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        table, rows = stack(tables)
        return Clusters(table, np.concatenate([places[own] for places, own in zip(rows, cluster, strict=True)]), np.concatenate(particle))

    def _particle_of(self, collection: str) -> np.ndarray:
        """``(N,)`` row of each track's particle, -1 if it is not in the file."""
        if collection not in self._branches or "Particle" not in self._branches[collection]:
            return np.full(len(self._table(collection, ("PT",))), -1)
        counts, references = flat(self._array(collection, "Particle")["ref"])
        return self._resolve(np.repeat(np.arange(self.num_events), counts), references)

    def _particles_of_towers(self, collection: str, towers: Table) -> tuple[np.ndarray, np.ndarray]:
        """Rows of towers and of their particles; none if the file does not list them."""
        if not has_member(self._branches, f"{collection}.Particles"):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        edges, data = flat(self._branches[collection]["Particles"].array(AsJagged(AsDtype("u1")), self._start, self._stop))
        edges = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(edges)])
        place = f"{self._source}: {collection}.Particles"
        counts, references = parse_reference_arrays(data, edges, np.diff(towers.offsets), place, self._start)
        tower = np.repeat(np.arange(len(towers)), counts)
        particle = self._resolve(towers.event[tower], references)
        return tower[particle >= 0], particle[particle >= 0]

    def _resolve(self, event: np.ndarray, references: np.ndarray) -> np.ndarray:
        return resolve(event, references, self._particles.event, self._particles["fUniqueID"])

    def _table(self, collection: str, members: Sequence[str]) -> Table:
        """The members of a collection that the file has; an empty table of them where it lacks the collection."""
        if collection not in self._branches:
            return Table(np.zeros(self.num_events + 1), {name: np.zeros(0) for name in members})
        have = [name for name in members if name in self._branches[collection]]
        return read_table(have, lambda name: flat(self._array(collection, name)), f"{self._source}: {collection}", self._start, self._stop)

    def _array(self, collection: str, member: str) -> ak.Array:
        return self._branches[collection][member].array(entry_start=self._start, entry_stop=self._stop)


class DelphesFile(ForeignFile):
    """One open Delphes file; see `ForeignFile`."""

    tree_path = delphes.TREE
    version = "Delphes"

    def _find_branches(self) -> dict[str, str]:
        self._members = has = find_members(self._tree)
        track, towers = first_of(has, delphes.TRACKS), first_group(has, delphes.TOWERS)
        if not track and not towers:
            tower_names = ", ".join(name for group in delphes.TOWERS for name in group)
            raise NtupleError(f"{self.path}: {delphes.TREE}: neither tracks ({', '.join(delphes.TRACKS)}) nor towers ({tower_names}); needed are either")
        sources: list[tuple[str, Rules, Sequence[str]]] = [
            ("gen", delphes.GEN, (delphes.PARTICLES,)),
            ("element", delphes.TRACK, (track,)),
            ("element", delphes.CLUSTER, towers),
            ("pfcandidate", delphes.TRACK_CANDIDATE, (delphes.FLOW_TRACKS,)),
            ("pfcandidate", delphes.CLUSTER_CANDIDATE, first_group(has, delphes.FLOW_TOWERS)),
            ("genjet", delphes.GENJET, (delphes.GEN_JETS,)),
            ("genmet", delphes.GENMET, (delphes.GEN_MET,)),
        ]
        self._used = {name: members_of(rules) for _, rules, names in sources for name in names if name in has}
        found = {"event": delphes.EVENT_NUMBER if has_member(has, delphes.EVENT_NUMBER) else "number of the entry"}
        for collection, rules, names in sources:
            for name in names:
                for column, text in columns_of(rules, name, has).items():
                    known = found.get(f"{collection}_{column}")
                    found[f"{collection}_{column}"] = f"{known}; {text}" if known else text
        if "pfcandidate_pt" in found:
            found |= dict.fromkeys(("element_to_candidate.first", "element_to_candidate.second"), "particles of tracks, edges of towers")
        if delphes.PARTICLES in has:
            found |= dict.fromkeys(TRUTH_COLUMNS, f"stable {delphes.PARTICLES}, references to it")
        return {name: found[name] for name in schema.NTUPLE.columns if name in found}

    @property
    def _bytes(self) -> int:
        return sum(
            self._members[name][member].uncompressed_bytes for name, members in self._used.items() for member in members if member in self._members[name]
        )

    def _chunk(self, start: int, stop: int) -> DelphesChunk:
        return DelphesChunk(self._members, str(self.path), start, stop)


def _tower_keys(table: Table) -> np.ndarray:
    """``(N, 6)`` what an e-flow tower has in common with the tower that it was made of."""
    return np.column_stack([table.event, table["em"], table["Edges[4]"]])


def _at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``values[index]``, -1 where the index is -1."""
    return np.append(values, -1)[index]
