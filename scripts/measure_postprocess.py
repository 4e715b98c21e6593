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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import uproot

from mlpf.events import Events
from mlpf.io.inputs import open_input
from mlpf.io.shards import write_parquet
from mlpf.jets import cluster_jets
from mlpf.postprocess.association import associate_caloparticles
from mlpf.postprocess.policy import CaloParticlePolicy
from mlpf.postprocess.rows import columns_to_read, postprocess_events
from mlpf.postprocess.target import matched_candidates, target_columns
from mlpf.postprocess.tasks import CHUNK_BYTES

POLICY = CaloParticlePolicy()
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
        chunks = list(ntuple.iterate(columns, CHUNK_BYTES, num_events))
        branches, tree_path = [ntuple.branches[name] for name in columns], ntuple.tree_path
    num_events = sum(len(chunk) for chunk in chunks)
    rows = [postprocess_events(chunk, POLICY)[0] for chunk in chunks]
    associations = [(chunk, associate_caloparticles(chunk, POLICY), kept_elements(chunk)) for chunk in chunks]

    def by_uproot() -> None:
        with uproot.open(path, object_cache=None, array_cache=None) as file:
            tree = file[tree_path]
            for branch in branches:
                tree[branch].array(entry_stop=num_events)

    def read() -> None:
        with open_input(path) as ntuple:
            for _ in ntuple.iterate(columns, CHUNK_BYTES, num_events):
                pass

    def targets() -> None:
        for chunk, association, kept in associations:
            target_columns(chunk, association, kept, POLICY)
            matched_candidates(chunk, POLICY)

    with tempfile.TemporaryDirectory() as folder:
        steps: dict[str, Callable[[], object]] = {
            "uproot, the same branches": by_uproot,
            "read": read,
            "associate": lambda: [associate_caloparticles(chunk, POLICY) for chunk in chunks],
            "targets, candidates": targets,
            "jets": lambda: [target_jets(dataset) for dataset in rows],
            "all between read and write": lambda: [postprocess_events(chunk, POLICY) for chunk in chunks],
            "write": lambda: write_parquet(Path(folder) / "rows.parquet", rows),
        }
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds + 1):  # the first one compiles and warms up
            for name, step in steps.items():
                times[name].append(1e3 * cpu_seconds(step) / num_events)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    medians["read, all between, write"] = medians["read"] + medians["all between read and write"] + medians["write"]
    elements = sum(chunk.size("element") for chunk in chunks) / num_events
    print(f"{num_events} events of {elements:.0f} elements; CPU ms per event, median of {rounds}, and in units of uproot's")
    for name, value in medians.items():
        print(f"  {name:28} {value:8.2f} {value / medians['uproot, the same branches']:8.2f}")


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
        events = next(ntuple.iterate(columns_to_read(POLICY), CHUNK_BYTES, 10))
    kept = kept_elements(events)
    ours = statistics.median(cpu_seconds(lambda: target_columns(events, associate_caloparticles(events, POLICY), kept, POLICY)) for _ in range(9)) / len(events)
    theirs = statistics.median(cpu_seconds(lambda number=number: in_networkx(events, number)) for number in range(num_events))
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
