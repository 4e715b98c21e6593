"""Parts in the making: read, run through the model, written, in threads one ahead of the other; what a worker does."""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlpf.candidates import Outputs, make_candidates
from mlpf.errors import MlpfError, ModelError, NtupleError
from mlpf.events import Events
from mlpf.io.files import sha256
from mlpf.io.shards import write_parquet
from mlpf.io.workers import NO_PROCESS_SURVIVES
from mlpf.producer.ahead import ahead
from mlpf.producer.parts import Model, PartDone, PartTask, finish, read_done
from mlpf.producer.producer import ConsumerInput, Producer, consumer_input, empty_outputs
from mlpf.producer.report import Counts, Failure, Latency
from mlpf.producer.sources import EventSource, open_source, without_elements

REMEDY = "pass --skip-bad to leave such events without candidates"


def make_parts(tasks: Iterable[PartTask]) -> Generator[PartDone, None, None]:
    """Make parts and their notes, unless they are there; while the model works on one, the next one is read and the one before written.

    Raises:
        MlpfError: an event cannot be read, or the model fails on it, and such are not to be skipped; an input was replaced; no space.
    """
    with closing(ahead(_run(ahead(_read(tasks))))) as pieces:
        start = time.perf_counter()
        for task, of_task in groupby(pieces, key=lambda piece: piece.task):
            done = _write(task, of_task)
            yield done if done.found else finish(task, replace(done, seconds=time.perf_counter() - start))
            start = time.perf_counter()


def make_part(task: PartTask) -> PartDone:
    """`make_parts` of one, for processes that share the work: they overlap each other."""
    with closing(make_parts([task])) as parts:
        return next(parts)


def lost_part(task: PartTask) -> PartDone:
    """What becomes of a part that no process survives: its events keep their entries."""
    with _open_input(task) as source:
        events = source.numbers(task.start, task.stop)
    write_parquet(task.file, [make_candidates(events, *consumer_input(events), empty_outputs())])
    failures = tuple(_failure(events, i, NO_PROCESS_SURVIVES) for i in range(len(events)))
    return finish(task, PartDone(Counts(num_events=len(events), num_failed=len(events)), failures))


class _Piece(NamedTuple):
    """Events of a part on their way through the stages.

    Attributes:
        task: the part.
        events, selected: as read, and what the model is to see of them.
        problem: of one event without elements, what it failed for.
        outputs: what the model said.
        call_seconds, call_events: ``(C,)`` time per event of each model call, and the number of its events.
        found: instead of all that, a part that is there.
    """

    task: PartTask
    events: Events
    selected: ConsumerInput
    problem: str = ""
    outputs: Outputs = empty_outputs()
    call_seconds: np.ndarray = np.zeros(0)
    call_events: np.ndarray = np.zeros(0, dtype=np.int64)
    found: PartDone | None = None

    @classmethod
    def of(cls, task: PartTask, events: Events, problem: str = "") -> "_Piece":
        return cls(task, events, consumer_input(events), problem)


def _read(tasks: Iterable[PartTask]) -> Generator[_Piece, None, None]:
    """First stage: the events."""
    nothing = without_elements(Events({}, {}, 0))
    for task in tasks:
        done = read_done(task)
        if done is not None and sha256(task.file) == done.sha256:
            yield _Piece.of(task, nothing)._replace(found=done)
        else:
            yield from _read_range(task, task.start, task.stop)


def _read_range(task: PartTask, start: int, stop: int) -> Iterator[_Piece]:
    """One piece; where events in it cannot be read, halves of halves around them."""
    source = _source(task)
    try:
        piece = _Piece.of(task, source.read(start, stop))
    except MlpfError as error:
        if not task.skip_bad:
            raise _with_remedy(error) from error
        if stop - start > 1:
            middle = (start + stop) // 2
            yield from _read_range(task, start, middle)
            yield from _read_range(task, middle, stop)
            return
        piece = _Piece.of(task, source.numbers(start, stop), str(error))
    yield piece


def _run(pieces: Generator[_Piece, None, None]) -> Generator[_Piece, None, None]:
    """Second stage: the model."""
    with closing(pieces):
        for piece in pieces:
            if piece.found is not None:
                yield piece
            else:
                yield from _run_piece(open_model(piece.task.model), piece)


def _run_piece(producer: Producer, piece: _Piece) -> Iterator[_Piece]:
    """One piece; where the model fails on events of it, halves of halves around them."""
    events = piece.events
    del producer.call_seconds[:]  # so that it does not grow
    try:
        outputs = producer.run_events(piece.selected, events)
    except ModelError as error:
        if not piece.task.skip_bad:
            raise _with_remedy(error) from error
        if len(events) == 1:
            yield _Piece.of(piece.task, without_elements(events), str(error))
            return
        middle = len(events) // 2
        for half in (events.slice(0, middle), events.slice(middle, len(events))):
            yield from _run_piece(producer, _Piece.of(piece.task, half))
        return
    sizes = np.array([len(batch) for batch in producer.batches(np.diff(piece.selected.offsets))], dtype=np.int64)
    yield piece._replace(outputs=outputs, call_seconds=np.array(producer.call_seconds) / sizes, call_events=sizes)


def _write(task: PartTask, pieces: Iterator[_Piece]) -> PartDone:
    """Third stage: the candidates of one part, and what is counted on the way."""
    first = next(pieces)
    if first.found is not None:
        return first.found
    counts, failures, latency = Counts(), list[Failure](), Latency()

    def candidates() -> Iterator[Events]:
        nonlocal counts
        for piece in chain([first], pieces):
            made = make_candidates(piece.events, *piece.selected, piece.outputs)
            if piece.problem:
                counts += Counts(num_events=1, num_failed=1)
                failures.append(_failure(piece.events, 0, piece.problem))
            else:
                counts += Counts.of(piece.events, made)
            latency.add(piece.call_seconds, piece.call_events)
            yield made

    write_parquet(task.file, candidates())
    return PartDone(counts, tuple(failures), latency=latency)


def _with_remedy(error: MlpfError) -> MlpfError:
    return type(error)(f"{error}; {REMEDY}")


def _failure(events: Events, position: int, reason: str) -> Failure:
    run, lumi, event = (int(events[name][position]) for name in ("run", "lumi", "event"))
    return Failure(events.first_entry + position, run, lumi, event, reason)


# What this process keeps from one part to the next: a model, and the input that was read last.
_producers: dict[Model, Producer] = {}
_sources: dict[tuple[Path, str], EventSource] = {}


def open_model(model: Model) -> Producer:
    """The model, loaded by this process if it is not."""
    if model not in _producers:
        _producers.clear()
        _producers[model] = model.open()
    return _producers[model]


def _source(task: PartTask) -> EventSource:
    place = (task.input, task.identity)
    if place not in _sources:
        close_inputs()
        _sources[place] = _open_input(task)
    return _sources[place]


def _open_input(task: PartTask) -> EventSource:
    """Open an input, which must be what it was when it was first looked at."""
    source = open_source(task.input)
    if source.identity != task.identity:
        source.close()
        raise NtupleError(f"{task.input}: replaced by another one while it was in use")
    return source


def close_inputs() -> None:
    """Close what this process has opened to read."""
    while _sources:
        _sources.popitem()[1].close()


def close_all() -> None:
    """Close what this process has opened, and forget the model."""
    close_inputs()
    _producers.clear()
