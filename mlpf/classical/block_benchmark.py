"""The block benchmark: ways to group the elements of an ntuple into PF blocks, judged by its candidates or its true particles (`mlpf.metrics.blocks`)."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from mlpf.classical.blocks import find_blocks
from mlpf.classical.calibration import default_calibration
from mlpf.classical.clue_blocks import ClueBlockParameters, clue_blocks
from mlpf.classical.elements import COLUMNS as ELEMENT_COLUMNS
from mlpf.classical.elements import NEEDED_COLUMNS, Elements, elements_of
from mlpf.classical.links import Links, find_links
from mlpf.classical.particle_flow import reconstruct
from mlpf.classical.rules import Rules
from mlpf.errors import NtupleError
from mlpf.events import Events, offsets_from_counts
from mlpf.io.ntuple import Ntuple, empty_events
from mlpf.metrics.blocks import TRUTH_COLUMNS, Table, Truth, compare_blocks, compare_candidates, compare_links, listed_pairs, summarise, true_blocks
from mlpf.metrics.uncertainty import Estimate
from mlpf.samples.split import uniform_hash

COLUMNS = (
    *ELEMENT_COLUMNS, *TRUTH_COLUMNS["candidates"], "element_distance_i", "element_distance_j", "element_distance_d", "run", "lumi", "event"
)  # fmt: skip


class Contender(NamedTuple):
    """A way to group elements into blocks: elements -> ``(N,) int64``, the same number inside a block, another one outside."""

    name: str
    blocks_of: Callable[[Elements], np.ndarray]


class Score(NamedTuple):
    """What came out for one contender: means over the events with their standard errors, and the time it took."""

    means: dict[str, Estimate]
    milliseconds_per_event: float


def link_rules() -> Contender:
    """The pairwise rules of PFBlockAlgo."""
    return Contender("link rules", lambda elements: find_blocks(find_links(elements), len(elements.type)))


def clue_contender(name: str, parameters: ClueBlockParameters | None = None) -> Contender:
    """CLUE in each layer."""
    return Contender(name, partial(clue_blocks, parameters=parameters))


def read_for_blocks(
    path: str | Path, max_events: int | None = None, nonfinite: Literal["error", "zero"] = "error", truth: Truth = "candidates"
) -> list[Events]:
    """Chunks of an ntuple with what the benchmark needs.

    Args:
        max_events: only the first ones.
        nonfinite: what to do with non-finite momenta of elements: an error (when they are used), or replace them by 0.
        truth: what true blocks will be made of.

    Raises:
        NtupleError: the file has no events, or no candidates (needed for any truth: candidates are counted), or no true particles, or cannot be read.
    """
    remedy = "so the blocks cannot be judged; make candidates with mlpf classical"
    with Ntuple(path) as ntuple:
        what_now = dict.fromkeys(TRUTH_COLUMNS[truth], "so the true particles are unknown; choose --truth candidates")
        what_now |= dict.fromkeys(TRUTH_COLUMNS["candidates"], remedy)
        missing = [name for name in what_now if name not in ntuple.branches]
        if missing:
            raise NtupleError(f"{path}: no branch {missing[0]}, {what_now[missing[0]]}")
        if not ntuple.num_events:
            raise NtupleError(f"{path}: no events to judge blocks by")
        chunks = list(ntuple.iterate(list(dict.fromkeys((*COLUMNS, *TRUTH_COLUMNS[truth]))), stop=max_events))
    if not any(chunk.size("element_to_candidate") for chunk in chunks):
        raise NtupleError(f"{path}: no element is linked to a candidate, {remedy}")
    for chunk in chunks:
        chunk.validate()
    return [chunk.replace_non_finite(NEEDED_COLUMNS) for chunk in chunks] if nonfinite == "zero" else chunks


def halves(chunks: Sequence[Events]) -> tuple[list[Events], list[Events]]:
    """The events to tune on and those to report, by a hash of their identity.

    Raises:
        NtupleError: there are too few events for two halves.
    """
    first, second = [], []
    for chunk in chunks:
        tuning = uniform_hash(chunk["run"], chunk["lumi"], chunk["event"]) < 0.5
        first.append(chunk.select(tuning))
        second.append(chunk.select(~tuning))
    if not (any(map(len, first)) and any(map(len, second))):
        raise NtupleError(f"{chunks[0].source}: {sum(map(len, chunks))} events are too few to tune on one half and report the other")
    return first, second


def judge(
    chunks: Iterable[Events], contenders: Sequence[Contender], truth: Truth = "candidates", on_events: Callable[[int], object] = lambda _: None
) -> tuple[dict[str, Score], dict[str, Estimate]]:
    """Scores of the contenders by name; and how the links of the rules compare with the ntuple's own, where it has any.

    Args:
        truth: what true blocks are made of.
        on_events: called with the number of events of every finished chunk.
    """
    tables: dict[str, list[Table]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    link_tables, num_events = [], 0
    for contender in contenders:
        contender.blocks_of(elements_of(empty_events(COLUMNS)))  # loads the kernels outside of the timing
    for events in chunks:
        elements, true = elements_of(events), true_blocks(events, truth)
        links = find_links(elements)
        pairs = listed_pairs(events) if events.size("element_distance") else (links.i, links.j)
        for name, blocks_of in contenders:
            start = time.perf_counter()
            blocks = blocks_of(elements)
            seconds[name] += time.perf_counter() - start
            tables[name].append(compare_blocks(elements.offsets, true, blocks, pairs) | _compare_candidates(events, elements, links, blocks))
        link_tables.append(compare_links(events, links.i, links.j))
        num_events += len(events)
        on_events(len(events))
    scores = {name: Score(summarise(_join(parts)), 1e3 * seconds[name] / num_events) for name, parts in tables.items()}
    return scores, summarise(_join(link_tables))


def _compare_candidates(events: Events, elements: Elements, links: Links, blocks: np.ndarray) -> Table:
    """The ntuple's candidates, and those of rule-based particle flow that sees only the links inside the blocks."""
    inside = blocks[links.i] == blocks[links.j]
    candidates = reconstruct(elements, Links(*(values[inside] for values in links)), Rules(), default_calibration())
    offsets = offsets_from_counts(np.bincount(elements.event()[candidates.lead], minlength=len(events)))
    return compare_candidates(events, candidates.eta, candidates.phi, offsets)


def _join(tables: Sequence[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
