"""What `mlpf postprocess` costs beside reading the file with uproot and beside the same algorithm in networkx.

    python scripts/measure_postprocess.py output/ttbar_pileup.root --events 40

CPU times of one thread, medians of rounds in which every step has its turn, so that ratios hold on a busy machine, too.
"""

import argparse
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import uproot

from mlpf.events import Events
from mlpf.io.files import sha256
from mlpf.io.inputs import open_input
from mlpf.io.shards import write_parquet
from mlpf.jets import cluster_jets
from mlpf.postprocess.association import associate_caloparticles
from mlpf.postprocess.policy import CaloParticlePolicy
from mlpf.postprocess.rows import columns_to_read, postprocess_blocks, postprocess_events
from mlpf.postprocess.target import candidate_columns, matched_candidates, target_columns
from mlpf.postprocess.tasks import CHUNK_BYTES

POLICY = CaloParticlePolicy()
BLOCK_EVENTS = 4  # about as many as the postprocessing takes at a time
REFERENCE = Path(__file__).parents[1] / "tests" / "postprocess" / "reference.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ntuple", type=Path)
    parser.add_argument("--events", type=int, default=40, help="events to use of the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networkx", type=int, default=1, help="events that networkx has to do; 0: none")
    arguments = parser.parse_args()
    print_stages(arguments.ntuple, arguments.events, arguments.rounds)
    if arguments.networkx:
        print_networkx(arguments.ntuple, arguments.networkx)
    print_command(arguments.ntuple, arguments.events)


def print_stages(path: Path, num_events: int, rounds: int) -> None:
    """Milliseconds per event of every stage, and as multiples of uproot's time."""
    with open_input(path) as ntuple:
        columns = [name for name in columns_to_read(POLICY) if name in ntuple.branches]
        branches, tree_path = [ntuple.branches[name] for name in columns], ntuple.tree_path
        num_events = min(num_events, ntuple.num_events)
        some = next(ntuple.iterate(columns, CHUNK_BYTES, BLOCK_EVENTS))
    association, kept = associate_caloparticles(some, POLICY), kept_elements(some)
    rows, _ = postprocess_events(some, POLICY)

    def by_uproot() -> None:
        with uproot.open(path, object_cache=None, array_cache=None) as file:
            tree = file[tree_path]
            for branch in branches:
                tree[branch].array(entry_stop=num_events)

    def chunks() -> Iterator[Events]:
        with open_input(path) as ntuple:
            yield from ntuple.iterate(columns, CHUNK_BYTES, num_events)

    def blocks() -> Iterator[Events]:
        for chunk in chunks():
            for dataset, _ in postprocess_blocks(chunk, POLICY):
                yield dataset

    def write() -> None:
        shard = Path(folder) / "rows.parquet"
        write_parquet(shard, blocks())
        sha256(shard)

    def targets() -> None:
        target_columns(some, association, kept, POLICY)
        candidate_columns(some, matched_candidates(some, POLICY)[kept], POLICY)

    with tempfile.TemporaryDirectory() as folder:
        steps: dict[str, tuple[int, Callable[[], object]]] = {
            "uproot, the same branches": (num_events, by_uproot),
            "read": (num_events, lambda: deque(chunks(), maxlen=0)),
            "read, postprocess": (num_events, lambda: deque(blocks(), maxlen=0)),
            "read, postprocess, write": (num_events, write),
            "in memory: associate": (len(some), lambda: associate_caloparticles(some, POLICY)),
            "in memory: targets, candidates": (len(some), targets),
            "in memory: jets of the targets": (len(some), lambda: target_jets(rows)),
            "in memory: all of postprocess": (len(some), lambda: postprocess_events(some, POLICY)),
            "in memory: write": (len(some), lambda: write_parquet(Path(folder) / "some.parquet", [rows])),
        }
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds + 1):  # the first one compiles and warms up
            for name, (events, step) in steps.items():
                times[name].append(1e3 * cpu_seconds(step) / events)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    print(f"{num_events} events of {some.size('element') / len(some):.0f} elements; CPU ms per event, median of {rounds}, and in units of uproot's")
    for name, value in medians.items():
        print(f"  {name:32} {value:8.2f} {value / medians['uproot, the same branches']:8.2f}")


def kept_elements(events: Events) -> np.ndarray:
    """Elements that stay in the dataset."""
    return np.flatnonzero(~np.isin(events["element_type"], POLICY.dropped_types))


def target_jets(rows: Events) -> None:
    phi = np.arctan2(rows["target_sin_phi"], rows["target_cos_phi"])
    cluster_jets(rows["target_pt"], rows["target_eta"], phi, rows["target_energy"], rows.offsets["element"])


def print_networkx(path: Path, num_events: int) -> None:
    """How many times longer the readable implementation of the tests takes for the association and the targets."""
    in_networkx = runpy.run_path(str(REFERENCE))["caloparticle_targets"]
    with open_input(path) as ntuple:
        events = next(ntuple.iterate(columns_to_read(POLICY), CHUNK_BYTES, BLOCK_EVENTS))
    kept = kept_elements(events)
    ours = statistics.median(cpu_seconds(lambda: target_columns(events, associate_caloparticles(events, POLICY), kept, POLICY)) for _ in range(25)) / len(
        events
    )
    theirs = statistics.median(cpu_seconds(lambda number=number: in_networkx(events, number)) for number in range(min(num_events, len(events))))
    print(f"association and targets: {1e3 * ours:.2f} ms; in networkx {1e3 * theirs:.0f} ms per event: {theirs / ours:.0f} times")


def print_command(path: Path, num_events: int) -> None:
    """CPU time and peak memory of the whole command, start included."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["mlpf", "postprocess", str(path), "--events", str(num_events), "--output", f"{folder}/dataset"]
        subprocess.run([sys.executable, "-m", "mlpf.cli.main", *command[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{' '.join(command[:2])} of {num_events} events: {seconds:.2f} s CPU, start included; peak memory {after.ru_maxrss / 1024:.0f} MB")


def cpu_seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


if __name__ == "__main__":
    main()
