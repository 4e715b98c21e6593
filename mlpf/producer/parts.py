"""One range of events of one input -> one file of candidates and a note on it: what a worker does. Reading, model and writing overlap."""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from mlpf.candidates import Outputs, make_candidates
from mlpf.errors import MlpfError, ModelError, NtupleError
from mlpf.events import Events
from mlpf.io.files import sha256
from mlpf.io.notes import key_of, read_note, write_note
from mlpf.io.shards import write_parquet
from mlpf.io.workers import NO_PROCESS_SURVIVES
from mlpf.producer.ahead import ahead
from mlpf.producer.producer import ConsumerInput, Producer, consumer_input, empty_outputs
from mlpf.producer.report import Counts, Failure, Latency
from mlpf.producer.sources import EventSource, open_source, without_elements

CHUNKS_PER_PART = 4  # so that the model waits for the first quarter only, and the last one alone is written after it
REMEDY = "pass --skip-bad to leave such events without candidates"


@dataclass(frozen=True)
class Model:
    """A model and how it is run; travels to another process.

    Attributes:
        path: ONNX file.
        sha256: of its bytes.
        device, threads, batch_elements: see `Producer`.
    """

    path: Path
    sha256: str
    device: str
    threads: int
    batch_elements: int | None

    def open(self) -> Producer:
        """Load it.

        Raises:
            ModelError: it cannot be used, or was replaced.
        """
        if sha256(self.path) != self.sha256:
            raise ModelError(f"{self.path}: replaced by another file while it was in use")
        return Producer(self.path, self.device, self.threads, self.batch_elements)


@dataclass(frozen=True)
class PartTask:
    """Candidates to make of some events of one input; travels to another process.

    Attributes:
        input: the file or the dataset.
        identity: of its content, see `EventSource`.
        start, stop: range of its events.
        model: the model.
        skip_bad: see `produce_files`.
        file: path of the candidates.
        note: path of the note on them.
    """

    input: Path
    identity: str
    start: int
    stop: int
    model: Model
    skip_bad: bool
    file: Path
    note: Path

    def __str__(self) -> str:
        return f"{self.input}: events {self.start} to {self.stop - 1}"

    @property
    def num_events(self) -> int:
        """Events of the part."""
        return self.stop - self.start

    @property
    def key(self) -> str:
        """Digest of all that the candidates depend on."""
        model = [self.model.sha256, self.model.device, self.model.threads, self.model.batch_elements, onnxruntime.__version__]
        return key_of({"input": [self.identity, self.start, self.stop], "model": model})


@dataclass(frozen=True)
class PartDone:
    """A part that is there.

    Attributes:
        counts: what was read, dropped and written.
        failures: events without candidates because they, or the model on them, failed.
        sha256: of its file.
        found: it was there before.
        latency: time of the model per event, if it was made now.
        seconds: time that took altogether.
        process: number of the process.
    """

    counts: Counts
    failures: tuple[Failure, ...] = ()
    sha256: str = ""
    found: bool = False
    latency: Latency = field(default_factory=Latency)
    seconds: float = 0.0
    process: int = field(default_factory=os.getpid)


def read_done(task: PartTask) -> PartDone | None:
    """What the note says of the part, if that is there and was made of the same; None, too, for one with failures where there may be none."""
    note = read_note(task.note, task.key, task.file)
    if note is None or (note["failures"] and not task.skip_bad):
        return None
    return PartDone(Counts(**note["counts"]), tuple(Failure(*failure) for failure in note["failures"]), note["sha256"], found=True)


def make_part(task: PartTask) -> PartDone:
    """Make a part and its note, unless they are there.

    Raises:
        MlpfError: an event cannot be read, or the model fails on it, and such are not to be skipped; the input was replaced; no space.
    """
    done = read_done(task)
    if done is not None and sha256(task.file) == done.sha256:
        return done
    start = time.perf_counter()
    part = _Part(task)
    with closing(part.candidates()) as candidates:
        write_parquet(task.file, candidates)
    return _finish(task, PartDone(part.counts, tuple(part.failures), latency=part.latency, seconds=time.perf_counter() - start))


def lost_part(task: PartTask) -> PartDone:
    """What becomes of a part that no process survives: its events keep their entries."""
    with _open_input(task) as source:
        events = source.numbers(task.start, task.stop)
    write_parquet(task.file, [make_candidates(events, *consumer_input(events), empty_outputs())])
    failures = tuple(_failure(events, i, NO_PROCESS_SURVIVES) for i in range(len(events)))
    return _finish(task, PartDone(Counts(num_events=len(events), num_failed=len(events)), failures))


def _finish(task: PartTask, done: PartDone) -> PartDone:
    done = replace(done, sha256=sha256(task.file))
    write_note(task.note, task.key, {"sha256": done.sha256, "counts": vars(done.counts), "failures": done.failures})
    return done


class _Piece(NamedTuple):
    """Events on their way through the stages, and what the model is to see of them; ``problem``: of one event without elements, what it failed for."""

    events: Events
    selected: ConsumerInput
    problem: str = ""

    @classmethod
    def of(cls, events: Events, problem: str = "") -> "_Piece":
        return cls(events, consumer_input(events), problem)


class _Part:
    """One part in the making, stage by stage, and what is counted on the way."""

    def __init__(self, task: PartTask) -> None:
        self.task = task
        self.counts, self.failures, self.latency = Counts(), list[Failure](), Latency()

    def candidates(self) -> Generator[Events, None, None]:
        """Candidates of the events, chunk by chunk, in their order."""
        with closing(ahead(self._run(ahead(self._read())))) as results:
            for piece, outputs in results:
                candidates = make_candidates(piece.events, *piece.selected, outputs)
                if piece.problem:
                    self.counts += Counts(num_events=1, num_failed=1)
                    self.failures.append(_failure(piece.events, 0, piece.problem))
                else:
                    self.counts += Counts.of(piece.events, candidates)
                yield candidates

    def _read(self) -> Generator[_Piece, None, None]:
        source, task = _source(self.task), self.task
        step = -(-task.num_events // CHUNKS_PER_PART)
        for start in range(task.start, task.stop, step):
            yield from self._read_range(source, start, min(start + step, task.stop))

    def _read_range(self, source: EventSource, start: int, stop: int) -> Iterator[_Piece]:
        """One piece; where events in it cannot be read, halves of halves around them."""
        try:
            piece = _Piece.of(source.read(start, stop))
        except MlpfError as error:
            if not self.task.skip_bad:
                raise _with_remedy(error) from error
            if stop - start > 1:
                middle = (start + stop) // 2
                yield from self._read_range(source, start, middle)
                yield from self._read_range(source, middle, stop)
                return
            piece = _Piece.of(source.numbers(start, stop), str(error))
        yield piece

    def _run(self, pieces: Generator[_Piece, None, None]) -> Generator[tuple[_Piece, Outputs], None, None]:
        producer = _producer(self.task.model)
        with closing(pieces):
            for piece in pieces:
                yield from self._run_piece(producer, piece)

    def _run_piece(self, producer: Producer, piece: _Piece) -> Iterator[tuple[_Piece, Outputs]]:
        """One result; where the model fails on events of the piece, halves of halves around them."""
        events = piece.events
        try:
            outputs = producer.run_events(piece.selected, events)
        except ModelError as error:
            if not self.task.skip_bad:
                raise _with_remedy(error) from error
            if len(events) > 1:
                middle = len(events) // 2
                for half in (events.slice(0, middle), events.slice(middle, len(events))):
                    yield from self._run_piece(producer, _Piece.of(half))
                return
            piece, outputs = _Piece.of(without_elements(events), str(error)), empty_outputs()
        else:
            calls = np.array([len(batch) for batch in producer.batches(np.diff(piece.selected.offsets))], dtype=np.int64)
            self.latency.add(np.array(producer.call_seconds)[-len(calls) :] / calls if len(calls) else np.zeros(0), calls)
        del producer.call_seconds[:]  # so that it does not grow
        yield piece, outputs


def _with_remedy(error: MlpfError) -> MlpfError:
    return type(error)(f"{error}; {REMEDY}")


def _failure(events: Events, position: int, reason: str) -> Failure:
    run, lumi, event = (int(events[name][position]) for name in ("run", "lumi", "event"))
    return Failure(events.first_entry + position, run, lumi, event, reason)


# What this process keeps from one part to the next: a model, and the input that was read last.
_producers: dict[Model, Producer] = {}
_sources: dict[tuple[Path, str], EventSource] = {}


def _producer(model: Model) -> Producer:
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
