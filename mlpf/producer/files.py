"""Whole files: ntuples in, one file of candidates out, chunk by chunk."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.events import Events, event_index
from mlpf.features import consumer_elements
from mlpf.io.files import sha256
from mlpf.io.inputs import open_input
from mlpf.io.ntuple import CHUNK_BYTES, empty_events, write_ntuple
from mlpf.io.shards import write_parquet
from mlpf.producer.producer import METADATA_SCHEMA_DIGEST, Producer

FORMATS = (".root", ".parquet")
# What the producer reads of an ntuple.
COLUMNS = (*schema.NTUPLE.names("event"), *schema.NTUPLE.names("element"))


@dataclass
class ProduceReport:
    """What `produce_files` did.

    Attributes:
        num_events: events read and written.
        num_empty_events: those without an element that the consumer selects.
        num_elements: elements read.
        num_dropped: those the consumer never sees (PS1, PS2, BREM).
        num_candidates: candidates written.
        num_non_finite: candidates whose pt, eta, phi or energy is not finite, since their element's was not.
        seconds: wall time, reading and writing included.
        call_seconds: wall time of each model call.
    """

    num_events: int = 0
    num_empty_events: int = 0
    num_elements: int = 0
    num_dropped: int = 0
    num_candidates: int = 0
    num_non_finite: int = 0
    seconds: float = 0.0
    call_seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def count(self, events: Events, candidates: Events) -> None:
        """Add one chunk."""
        selected = consumer_elements(events["element_type"])
        per_event = np.bincount(event_index(events.collection_offsets("element"))[selected], minlength=len(events))
        self.num_events += len(events)
        self.num_empty_events += int(np.count_nonzero(per_event == 0))
        self.num_elements += len(selected)
        self.num_dropped += int(np.count_nonzero(~selected))
        self.num_candidates += candidates.size("mlpfcandidate")
        momentum = [candidates[f"mlpfcandidate_{name}"] for name in ("pt", "eta", "phi", "energy")]
        self.num_non_finite += int(np.count_nonzero(~np.isfinite(momentum).all(axis=0)))


def produce_files(
    producer: Producer,
    inputs: Sequence[str | Path],
    output: str | Path,
    max_events: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    on_events: Callable[[int], object] = lambda _: None,
) -> ProduceReport:
    """Write the candidates of ntuples to one file, events in the order of the inputs, so that it can be used as their friend.

    Args:
        producer: the model.
        inputs: files that `open_input` can read.
        output: ``.root`` (tree `schema.CANDIDATES_TREE`) or ``.parquet`` (a row per event); written whole or not at all.
        max_events: stop after so many events.
        chunk_bytes: uncompressed size of what is read at once.
        on_events: called after every chunk with its number of events.

    Raises:
        MlpfError: the output has another suffix or is one of the inputs, or what `open_input` and `Producer` raise.
    """
    output = Path(output)
    if output.suffix not in FORMATS:
        raise MlpfError(f"{output}: unknown format '{output.suffix}'; name the output .root or .parquet")
    if any(Path(path).resolve() == output.resolve() for path in inputs):
        raise MlpfError(f"{output}: is also an input and would be replaced; choose another output")
    report = ProduceReport()
    start = time.perf_counter()
    calls_before = len(producer.call_seconds)
    chunks = _candidates(producer, inputs, max_events, chunk_bytes, report, on_events)
    if output.suffix == ".root":
        write_ntuple(output, chunks, tree_path=schema.CANDIDATES_TREE)
    else:
        write_parquet(output, chunks, {METADATA_SCHEMA_DIGEST: schema.digest(), "mlpf.model_sha256": sha256(producer.path)})
    report.seconds = time.perf_counter() - start
    report.call_seconds = np.array(producer.call_seconds[calls_before:])
    return report


def _candidates(
    producer: Producer, inputs: Sequence[str | Path], max_events: int | None, chunk_bytes: int, report: ProduceReport, on_events: Callable[[int], object]
) -> Iterator[Events]:
    yield producer(empty_events(COLUMNS))  # gives the output its columns even where there are no events
    for path in inputs:
        left = None if max_events is None else max_events - report.num_events
        with open_input(path) as file:
            for events in file.iterate(COLUMNS, chunk_bytes, stop=left):
                candidates = producer(events)
                report.count(events, candidates)
                on_events(len(events))
                yield candidates
