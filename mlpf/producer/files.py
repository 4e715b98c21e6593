"""Files and datasets of any size -> one file of candidates, cut into parts, made by any number of processes.

What a run leaves undone, by an error, Ctrl-C, a kill or a power cut, the next run with the same arguments does; finished parts it finds, in ``.<name>.partial``
beside the output.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow.parquet as pq

from mlpf import schema
from mlpf.errors import MlpfError, NtupleError
from mlpf.events import Events
from mlpf.io.files import atomic_file, keep_only, sha256, writing
from mlpf.io.ntuple import write_ntuple
from mlpf.io.resumable import Unfinished, resumable_directory
from mlpf.io.shards import table_to_events, write_parquet
from mlpf.io.workers import LocalWorkers
from mlpf.producer.making import close_all, lost_part, make_part, make_parts
from mlpf.producer.parts import Model, PartDone, PartTask, read_done
from mlpf.producer.producer import METADATA_SCHEMA_DIGEST, Producer
from mlpf.producer.report import Counts, Failure, Latency, ProduceReport, Work
from mlpf.producer.sources import Source, survey

FORMATS = (".root", ".parquet")
PART_BYTES = 20_000_000  # of ntuple columns: a second of work on a CPU, so that little is lost, and processes end at about the same time
SURVEYED_ALONE = 20  # inputs; a tenth of a second each, which is about the time that a process takes to start
BAD_LIST_SUFFIX = ".skipped.txt"
FAILURES_SHOWN = 5


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        parts: in all.
        parts_found: made by an earlier run.
        events: of the others.
        events_made: of those that are made.
    """

    parts: int
    parts_found: int
    events: int
    events_made: int = 0


def produce_files(
    model: str | Path,
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    workers: int = 1,
    batch_elements: int | None = None,
    max_events: int | None = None,
    skip_bad: bool = False,
    part_bytes: int = PART_BYTES,
    on_survey: Callable[[Sequence[Source]], object] = lambda _: None,
    on_progress: Callable[[Progress], object] = lambda _: None,
) -> ProduceReport:
    """Write the candidates of all events to one file: as many entries, in the order of the inputs, so that a tree of them is a friend of the input's.

    Who makes them, and how often that was interrupted, does not change them.

    Args:
        model: ONNX file of the target cmssw.
        inputs: files that `open_input` knows, and dataset folders.
        output: ``.root`` (tree `schema.CANDIDATES_TREE`) or ``.parquet`` (a row per event); complete or as it was before.
        device, threads, batch_elements: see `Producer`; each process has its own.
        workers: parts made at a time, each by a process of its own.
        max_events: stop after so many events of all inputs together.
        skip_bad: leave out inputs that cannot be opened; let events that cannot be read, on which the model fails or which no process survives keep their
            entries, without candidates. All are listed in ``<output>.skipped.txt``. Otherwise the first of them is an error.
        part_bytes: uncompressed size of what is made at a time; memory is a few times this per process.
        on_survey: called with what was found out about the inputs.
        on_progress: called before the first and after each part that was made.

    Raises:
        MlpfError: the output has another suffix, is one of the inputs, is being made by another process or cannot be written; an input or an event cannot be
            used (with ``skip_bad``: no input, or no event, can); what `Producer` raises. What was finished stays for the next run.
    """
    output = _checked(Path(output), inputs)
    start = time.perf_counter()
    Producer(model, device, threads)  # so that what is wrong with them is said first, and TensorRT's engines are built once; processes open their own
    choice = Model(Path(model), sha256(model), device, threads, batch_elements)
    try:
        with resumable_directory(output) as unfinished, LocalWorkers(workers) as crew:
            sources = survey(inputs, crew if len(inputs) > SURVEYED_ALONE else None, part_bytes, max_events)
            on_survey(sources)
            _check(sources, skip_bad)
            tasks = _plan(sources, choice, skip_bad, unfinished)
            _remove_strays(unfinished, tasks)
            made = make_parts(tasks) if workers == 1 else crew.map_in_order(make_part, tasks, lost_part if skip_bad else None)
            with closing(made) as parts:
                report = _assemble(unfinished, sources, tasks, parts, _metadata(choice), on_progress)
    finally:
        close_all()
    return replace(report, seconds=time.perf_counter() - start)


def _checked(output: Path, inputs: Sequence[str | Path]) -> Path:
    if output.suffix not in FORMATS:
        raise MlpfError(f"{output}: unknown format '{output.suffix}'; name the output .root or .parquet")
    if output.is_dir():
        raise MlpfError(f"{output}: a folder; name a file")
    if any(Path(path).resolve() == output.resolve() for path in inputs):
        raise MlpfError(f"{output}: is also an input and would be replaced; choose another output")
    return output


def _check(sources: Sequence[Source], skip_bad: bool) -> None:
    """Give up because of unusable inputs, unless they are to be skipped and leave something."""
    problems = [source.problem for source in sources if source.problem]
    if len(problems) == len(sources):
        others = f" (none of the {len(problems)} inputs can be used)" if len(problems) > 1 else ""
        raise NtupleError(f"{problems[0]}{others}" if problems else "no input files")
    if problems and not skip_bad:
        more = f" (and {len(problems) - 1} more inputs cannot be used)" if len(problems) > 1 else ""
        raise NtupleError(f"{problems[0]}{more}; pass --skip-bad to leave such files out")


def _plan(sources: Sequence[Source], model: Model, skip_bad: bool, unfinished: Unfinished) -> list[PartTask]:
    """One task per part of every input, in their order."""
    tasks = []
    for index, source in enumerate(sources):
        for number, (start, stop) in enumerate(source.parts):
            name = f"part_{index:05d}_{number:05d}"
            file, note = unfinished.new / f"{name}.parquet", unfinished.notes / f"{name}.json"
            tasks.append(PartTask(source.path, source.identity, start, stop, model, skip_bad, file, note))
    return tasks


def _remove_strays(unfinished: Unfinished, tasks: Sequence[PartTask]) -> None:
    keep_only(unfinished.new, {task.file.name for task in tasks})
    keep_only(unfinished.notes, {task.note.name for task in tasks})


def _metadata(model: Model) -> dict[str, str]:
    return {METADATA_SCHEMA_DIGEST: schema.digest(), "mlpf.model_sha256": model.sha256}


def _assemble(
    unfinished: Unfinished,
    sources: Sequence[Source],
    tasks: Sequence[PartTask],
    parts: Generator[PartDone, None, None],
    metadata: Mapping[str, str],
    on_progress: Callable[[Progress], object],
) -> ProduceReport:
    """Write the output while its parts are made, and give it its name."""
    output = unfinished.final
    whole, listed = unfinished.new / f"whole{output.suffix}", unfinished.new / f"whole{BAD_LIST_SUFFIX}"
    bad_list = output.with_name(output.name + BAD_LIST_SUFFIX)
    with atomic_file(listed) as temporary, temporary.open("w") as stream:
        tally = _Tally(sources, tasks, stream, on_progress)
        chunks = _chunks(tally.count(parts))
        if output.suffix == ".root":
            write_ntuple(whole, chunks, tree_path=schema.CANDIDATES_TREE)
        else:
            write_parquet(whole, chunks, metadata)
    if tally.all_failed:
        unfinished.discard()  # whatever it was, the next try is to be a new one
        raise MlpfError(f"{output}: all events failed, so it is not written; the first one: {tally.first_failure.reason}")
    with writing(bad_list):
        if tally.any_bad:
            listed.replace(bad_list)
        else:
            bad_list.unlink(missing_ok=True)  # of an earlier output
    unfinished.publish_file(whole)
    return tally.report(bad_list if tally.any_bad else None)


def _chunks(made: Iterator[PartTask]) -> Iterator[Events]:
    """Candidates of one part after the other; first those of none, which give the output its columns even where there are no events."""
    layout = schema.CANDIDATES
    yield Events({name: np.zeros(0) for name in layout.columns}, {"mlpfcandidate": np.zeros(1)}, 0, layout=layout)
    for task in made:
        with pq.ParquetFile(task.file) as file:
            yield table_to_events(file.read(), layout, str(task.file))


class _Tally:
    """Adds up what was done, and lists what was not.

    Args:
        sources, tasks: all of them.
        stream: for the list of bad inputs and events.
        on_progress: see `produce_files`.
    """

    def __init__(self, sources: Sequence[Source], tasks: Sequence[PartTask], stream: TextIO, on_progress: Callable[[Progress], object]) -> None:
        self._tasks, self._stream, self._on_progress = tasks, stream, on_progress
        self._left_out = {source.path: source.problem for source in sources if source.problem}
        self._counts, self._latency, self._work = Counts(), Latency(), dict[int, Work]()
        self._failures: list[tuple[Path, Failure]] = []
        self._found = 0
        stream.write("file\tentry\trun\tlumi\tevent\treason\n")
        stream.writelines(f"{path}\t\t\t\t\tleft out: {problem}\n" for path, problem in self._left_out.items())

    @property
    def any_bad(self) -> bool:
        """Whether the list holds anything."""
        return bool(self._left_out) or self._counts.num_failed > 0

    @property
    def all_failed(self) -> bool:
        """Whether there were events, but not one without an error."""
        return self._counts.num_failed == self._counts.num_events > 0

    @property
    def first_failure(self) -> Failure:
        """The first event that failed."""
        return self._failures[0][1]

    def count(self, parts: Iterator[PartDone]) -> Iterator[PartTask]:
        """The tasks in order, each when its part is there."""
        to_do = [task.num_events for task in self._tasks if read_done(task) is None]
        progress = Progress(len(self._tasks), len(self._tasks) - len(to_do), sum(to_do))
        self._on_progress(progress)
        for task, done in zip(self._tasks, parts, strict=True):
            self._add(task, done)
            yield task
            if not done.found:
                made = progress.events_made + task.num_events
                progress = replace(progress, events_made=made, events=max(made, progress.events))  # more where a part that was there is damaged
                self._on_progress(progress)

    def _add(self, task: PartTask, done: PartDone) -> None:
        self._counts += done.counts
        self._latency += done.latency
        self._found += done.found
        if not done.found:
            work = self._work.setdefault(done.process, Work())
            work.num_events += task.num_events
            work.seconds += done.seconds
        for failure in done.failures:
            self._stream.write(f"{task.input}\t" + "\t".join(map(str, failure)) + "\n")
            if len(self._failures) < FAILURES_SHOWN:
                self._failures.append((task.input, failure))

    def report(self, bad_list: Path | None) -> ProduceReport:
        """What was done."""
        return ProduceReport(self._counts, self._left_out, tuple(self._failures), bad_list, len(self._tasks), self._found, self._latency, self._work)
