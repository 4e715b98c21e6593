"""Ranges of events of one input, each to become a file of candidates, and the notes on those that are there."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnxruntime

from mlpf.errors import ModelError
from mlpf.io.files import sha256
from mlpf.io.notes import key_of, read_note, write_note
from mlpf.producer.producer import Producer
from mlpf.producer.report import Counts, Failure, Latency


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


def finish(task: PartTask, done: PartDone) -> PartDone:
    """Write the note on a part that was made."""
    done = replace(done, sha256=sha256(task.file))
    write_note(task.note, task.key, {"sha256": done.sha256, "counts": vars(done.counts), "failures": done.failures})
    return done
