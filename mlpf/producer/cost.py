"""What a call of a model costs: time, the share of each operator, memory."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnxruntime

from mlpf import schema
from mlpf.candidates import make_candidates
from mlpf.errors import ModelError
from mlpf.events import Events
from mlpf.features import consumer_elements
from mlpf.producer.producer import Producer, consumer_input
from mlpf.producer.session import PROVIDERS, session_options

MEMORY_PROGRAM = Path(__file__).with_name("memory_program.py")


class CallCost(NamedTuple):
    """Times of repeated calls [s].

    Attributes:
        model: ``(R,)`` of the model call alone, wall time.
        model_cpu: ``(R,)`` the same in CPU time of the process, which other programs on the machine lengthen less.
        around: ``(R,)`` of what is done before and after it, wall time: columns to features, outputs to candidates.
    """

    model: np.ndarray
    model_cpu: np.ndarray
    around: np.ndarray


class Memory(NamedTuple):
    """Memory of a process [bytes].

    Attributes:
        peak: largest resident set, Python, NumPy and ONNX Runtime included.
        event: by how much the event raised it, above what the loaded model takes.
    """

    peak: int
    event: int


@dataclass(frozen=True)
class InferenceCost:
    """What a model costs on a device, one event per call.

    Attributes:
        path: the file.
        device: see `mlpf.producer.session.open_session`.
        threads: intra-op threads on the CPU.
        sizes: elements of the events.
        calls: times for each size.
        memory: of each size; None on a GPU, whose memory is another.
        operators: seconds per kind of operator for each size; empty on a GPU, where starting an operator is not running it.
    """

    path: Path
    device: str
    threads: int
    sizes: list[int]
    calls: list[CallCost]
    memory: list[Memory | None]
    operators: list[dict[str, float]]

    @property
    def latencies(self) -> list[np.ndarray]:
        """Seconds of the model call for each size, ``(R,)``: in one thread on the CPU its CPU time, which is the wall time of an otherwise idle machine."""
        one_thread = self.device == "cpu" and self.threads == 1
        return [call.model_cpu if one_thread else call.model for call in self.calls]

    @classmethod
    def measure(cls, path: str | Path, device: str, events: Sequence[Events], repeats: int, threads: int = 1) -> "InferenceCost":
        """Run a model on single events of the consumer's elements.

        Raises:
            ModelError: it cannot be loaded or run on the device.
        """
        producer = Producer(path, device, threads)
        calls = call_costs(producer, events, repeats)
        features = [consumer_input(event).features for event in events]
        on_cpu = device == "cpu"
        return cls(
            Path(path),
            device,
            threads,
            [len(rows) for rows in features],
            calls,
            [memory(path, rows, threads) if on_cpu else None for rows in features],
            [operator_seconds(path, rows, repeats, threads) for rows in features] if on_cpu else [],
        )


def event_of_size(pool: Events, num_elements: int) -> Events:
    """An event of exactly so many elements of the consumer: the first events of the pool that hold them together, thinned at random.

    So it has the composition and, up to the size of the pool's events, the density of these; of larger ones several lie on each other.

    Args:
        pool: events with columns of elements; links are not looked at.
        num_elements: at most `pool_size`.
    """
    selected = np.flatnonzero(consumer_elements(pool["element_type"]))
    ends = np.searchsorted(selected, pool.collection_offsets("element"))  # of each event among the selected
    needed = selected[: ends[np.searchsorted(ends, num_elements)]]
    kept = np.sort(np.random.default_rng(1).choice(needed, num_elements, replace=False))
    columns = {name: pool[name][kept] for name in pool.columns if pool.layout.collection_of[name] == "element"}
    identity = {name: pool[name][:1] for name in schema.IDENTITY}
    return Events({**identity, **columns}, {"element": np.array([0, num_elements])}, 1, pool.source)


def pool_size(pool: Events) -> int:
    """Elements of the consumer in all events together."""
    return int(np.count_nonzero(consumer_elements(pool["element_type"])))


def call_costs(producer: Producer, events: Sequence[Events], repeats: int) -> list[CallCost]:
    """Time single events, ``repeats`` rounds of all of them after one that does not count, so that what else the machine does meets all sizes alike."""
    times = np.array([[_times(producer, event) for event in events] for _ in range(repeats + 1)])
    return [CallCost(*times[1:, i].T) for i in range(len(events))]


def _times(producer: Producer, event: Events) -> tuple[float, float, float]:
    """Fields of `CallCost`, of one pass."""
    start = time.perf_counter()
    selected = consumer_input(event)
    before, cpu = time.perf_counter(), time.process_time()
    outputs = producer.run_events(selected)
    after, cpu = time.perf_counter(), time.process_time() - cpu
    make_candidates(event, *selected, outputs)
    return after - before, cpu, before - start + time.perf_counter() - after


def operator_seconds(path: str | Path, features: np.ndarray, repeats: int, threads: int = 1) -> dict[str, float]:
    """Wall time in the operators of each kind during a call on the CPU, longest first: the sum over operators of the shortest over calls.

    The shortest, since other programs only ever add to it. ONNX Runtime names operators as it has rewritten them on loading: QuickGelu, for example, is a SiLU.

    Args:
        path: ONNX file.
        features: ``(N, 55)`` raw features of one event, N >= 1.
        repeats: calls, after one that does not count.
        threads: intra-op threads.
    """
    options = session_options(threads)
    options.enable_profiling = True
    with TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS["cpu"])
        for _ in range(repeats + 1):
            session.run(None, feed(features))
        records = json.loads(Path(session.end_profiling()).read_text())
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        if record["cat"] == "Node" and record["name"].endswith("_kernel_time"):
            seconds[record["args"]["op_name"], record["name"]].append(1e-6 * record["dur"])
    total: dict[str, float] = defaultdict(float)
    for (operator, _), values in seconds.items():
        total[operator] += min(values[1:])
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def memory(path: str | Path, features: np.ndarray, threads: int = 1) -> Memory:
    """Of a process that holds NumPy, ONNX Runtime and the model, runs it on the CPU and does nothing else.

    Args:
        path: ONNX file.
        features: ``(N, 55)`` raw features of one event.
        threads: intra-op threads.

    Raises:
        ModelError: the process ended without an answer, as it does where there is not enough memory.
    """
    with TemporaryDirectory() as folder:
        np.save(Path(folder) / "features.npy", features)
        words = [sys.executable, "-P", MEMORY_PROGRAM, path, Path(folder) / "features.npy", threads]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(f"{path}: a process that runs it on {len(features)} elements ended with status {done.returncode} (-9: not enough memory)")
    return Memory(*map(int, done.stdout.split()))


def feed(features: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs of a call for one event ``(N, 55)``."""
    return dict(zip(schema.ONNX_INPUTS, (features[None], np.ones((1, len(features)), dtype=np.float32)), strict=True))
