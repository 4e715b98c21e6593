"""Events of another format in the ntuple's columns: the truth columns and links, made by the same rules for all formats."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.io.tables import Table

INVISIBLE = (12, 14, 16, 1000022, 1000023, 1000025, 1000035, 1000045)  # |pdgId| of neutrinos and neutralinos, which no detector sees
STABLE = 1  # generator status


class Links(NamedTuple):
    """Pairs of rows of two tables, ``(L,)`` each, and a weight where there is one."""

    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray | None = None

    def where(self, kept: np.ndarray) -> "Links":
        """The pairs that a mask selects."""
        return Links(self.first[kept], self.second[kept], None if self.weight is None else self.weight[kept])


class ForeignChunk(ABC):
    """Some events of another format; tables are read and made when they are first asked for.

    Columns of the tables are named as in the ntuple, without the collection. ``gen`` has one more: ``ev``, 0 for particles of the hard event.
    """

    num_events: int

    @property
    @abstractmethod
    def scalars(self) -> Mapping[str, np.ndarray]:
        """One value per event: event, and run and lumi where the format has them."""

    @property
    @abstractmethod
    def gen(self) -> Table:
        """Generator particles, of all statuses and collisions."""

    @property
    @abstractmethod
    def element(self) -> Table:
        """Tracks and clusters."""

    @property
    @abstractmethod
    def pfcandidate(self) -> Table:
        """The format's own particle flow."""

    @property
    @abstractmethod
    def genjet(self) -> Table:
        """Generator jets."""

    @property
    @abstractmethod
    def genmet(self) -> Table:
        """Generated missing transverse momentum."""

    @property
    @abstractmethod
    def tracks(self) -> Links:
        """Rows of ``gen`` and ``element``: which particle left which track."""

    @property
    @abstractmethod
    def deposits(self) -> Links:
        """Rows of ``gen`` and ``element``, and the energy [GeV] of the element that is the particle's."""

    @property
    @abstractmethod
    def candidates(self) -> Links:
        """Rows of ``element`` and ``pfcandidate``: which elements a candidate was made of."""

    @cached_property
    def _hard(self) -> Table:
        """Generator particles of the hard event, the only ones that the ntuple's ``gen`` has: its jets and missing momentum are made of them."""
        return self.gen.where(self.gen["ev"] == 0)

    @cached_property
    def _visible(self) -> np.ndarray:
        """Which generator particles are the truth: stable, and of a kind that detectors see."""
        return (self.gen["status"] == STABLE) & ~np.isin(np.abs(self.gen["pdgid"]), INVISIBLE)

    @cached_property
    def _charged(self) -> np.ndarray:
        return self._visible & (self.gen["charge"] != 0)

    @cached_property
    def caloparticle(self) -> Table:
        """The visible particles."""
        gen = self.gen.where(self._visible)
        tracking = np.where(self._charged, _position_among(self._charged, self.gen), -1)[self._visible]
        return Table(gen.offsets, {**_kinematics(gen, ("pt", "eta", "phi", "energy")), "idx_trackingparticle": tracking})

    @cached_property
    def simcluster(self) -> Table:
        """One per visible particle: other formats do not tell the parts of a shower apart."""
        return self.caloparticle.with_columns({"idx_caloparticle": self.caloparticle.position})

    @cached_property
    def trackingparticle(self) -> Table:
        """The visible particles that have a charge."""
        gen = self.gen.where(self._charged)
        return Table(gen.offsets, _kinematics(gen, ("pt", "eta", "phi", "energy", "px", "py", "pz")))

    @cached_property
    def trackingparticle_to_element(self) -> Table:
        """Tracks of charged particles, each with quality 1."""
        return self._pairs(self.tracks._replace(weight=np.ones(len(self.tracks.first))), self._charged)

    @cached_property
    def caloparticle_to_element(self) -> Table:
        """Deposits of visible particles."""
        return self._pairs(self.deposits, self._visible)

    @property
    def simcluster_to_element(self) -> Table:
        """As of the CaloParticles."""
        return self.caloparticle_to_element

    @property
    def caloparticle_to_simcluster(self) -> Table:
        """Each to its only one."""
        return Table(self.caloparticle.offsets, {".first": self.caloparticle.position, ".second": self.caloparticle.position})

    @cached_property
    def element_to_candidate(self) -> Table:
        """Elements that candidates were made of."""
        return _pair_table(self.candidates, self.element.position, self.pfcandidate.position, self.element)

    def _pairs(self, links: Links, kept: np.ndarray) -> Table:
        """Links from generator particles as links from those that are kept, counted inside events."""
        return _pair_table(links.where(kept[links.first]), _position_among(kept, self.gen), self.element.position, self.gen)

    def events(self, columns: Sequence[str], source: str, first_entry: int) -> Events:
        """The chunk in the ntuple's columns, of those that are asked for."""
        values: dict[str, np.ndarray] = {}
        offsets: dict[str, np.ndarray] = {}
        for collection in dict.fromkeys(schema.NTUPLE.collection_of[name] for name in columns):
            if schema.NTUPLE.collections[collection].scalar:
                values |= {name: self.scalars[name] for name in columns if name in self.scalars}
                continue
            table: Table = self._hard if collection == "gen" else getattr(self, collection)
            offsets[collection] = table.offsets
            names = {name: name.removeprefix(collection) for name in columns if schema.NTUPLE.collection_of[name] == collection}
            values |= {name: table[short if short in table else short.removeprefix("_")] for name, short in names.items()}
        return Events(values, offsets, self.num_events, source, first_entry)


def _kinematics(gen: Table, names: Sequence[str]) -> dict[str, np.ndarray]:
    values = {name: gen[name] for name in names}
    return {**values, "charge": gen["charge"], "pid": gen["pdgid"], "ev": gen["ev"], "bx": np.zeros(len(gen), dtype=np.int32)}


def _position_among(kept: np.ndarray, table: Table) -> np.ndarray:
    """Place inside its event of every row, if only the kept ones are counted."""
    before = offsets_from_counts(kept)
    return before[:-1] - before[table.offsets[table.event]]


def _pair_table(links: Links, first: np.ndarray, second: np.ndarray, table: Table) -> Table:
    """Links in order of events.

    Args:
        links: rows of two tables.
        first, second: places inside their events of all rows of the two.
        table: the first one.
    """
    event = table.event[links.first]
    order = np.argsort(event, kind="stable")
    columns = {".first": first[links.first][order], ".second": second[links.second][order]}
    if links.weight is not None:
        columns["cmp"] = links.weight[order]
    return Table(offsets_from_counts(np.bincount(event, minlength=table.num_events)), columns)


# Columns that come of the links and of the truth alone, whatever the format.
TRUTH_COLUMNS = (
    *(f"caloparticle_{name}" for name in ("pt", "eta", "phi", "energy", "pid", "charge", "bx", "ev", "idx_trackingparticle")),
    *(f"simcluster_{name}" for name in ("pt", "eta", "phi", "energy", "pid", "charge", "bx", "ev", "idx_caloparticle", "idx_trackingparticle")),
    *(f"trackingparticle_{name}" for name in ("pt", "eta", "phi", "energy", "px", "py", "pz", "pid", "charge", "bx", "ev")),
    *(f"{truth}_to_element{part}" for truth in ("trackingparticle", "caloparticle", "simcluster") for part in (".first", ".second", "_cmp")),
    "caloparticle_to_simcluster.first",
    "caloparticle_to_simcluster.second",
)
