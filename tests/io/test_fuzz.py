"""Damaged ntuples: whatever the bytes are, the outcome is events or one `NtupleError` that names the file; never a crash, a hang or memory without bound.

Files are damaged, read and postprocessed in a process of its own, whose address space and time are limited: ``python tests/io/test_fuzz.py SOURCE FIRST STOP``.
"""

import faulthandler
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import uproot

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.io.ntuple import Ntuple, read_ntuple, write_ntuple

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).with_name("files")
SAMPLE = ROOT / "data" / "ttbar.root"
MEMORY = 1_500_000_000  # more address space than an undamaged file needs by far
SECONDS_PER_FILE = 60


def flip(content: bytearray, rng: np.random.Generator, first: int, stop: int) -> None:
    """Change 1 to 100 bytes of a region, one bit or all."""
    for position in rng.integers(first, stop, int(rng.choice([1, 2, 10, 100]))):
        content[position] ^= int(rng.choice([1 << int(rng.integers(8)), 0xFF, int(rng.integers(1, 256))]))


def numbers(content: bytearray, rng: np.random.Generator, first: int, stop: int) -> None:
    """Overwrite four bytes by numbers that lengths and offsets should not be."""
    for position in rng.integers(first, stop - 4, int(rng.integers(1, 4))):
        content[position : position + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**24, 10**6])).to_bytes(4, "big")


def zeros(content: bytearray, rng: np.random.Generator, first: int, stop: int) -> None:
    """A block of zeros, as from a hole in a disk."""
    position = int(rng.integers(first, stop))
    size = min(int(rng.choice([16, 512, 4096])), stop - position)
    content[position : position + size] = bytes(size)


def insert(content: bytearray, rng: np.random.Generator, first: int, stop: int) -> None:
    """Bytes too many."""
    position = int(rng.integers(first, stop))
    content[position:position] = rng.bytes(int(rng.integers(1, 20)))


def remove(content: bytearray, rng: np.random.Generator, first: int, stop: int) -> None:
    """Bytes too few; the end of the file may be among them."""
    position = int(rng.integers(first, stop))
    del content[position : position + int(rng.choice([1, 8, 5000]))]


def exchange(content: bytearray, rng: np.random.Generator, first: int, stop: int) -> None:
    """A block of the file where another should be."""
    size = min(2000, (stop - first) // 2)
    source, target = (int(rng.integers(first, stop - size)) for _ in range(2))
    content[target : target + size] = content[source : source + size]


DAMAGES = (flip, flip, flip, numbers, zeros, insert, remove, exchange)


def regions(path: Path) -> list[tuple[int, int]]:
    """Where damage does most: the whole file, its beginning, what follows the baskets (the tree itself), and heads of baskets."""
    size = path.stat().st_size
    with Ntuple(path) as ntuple:
        seeks = np.concatenate([ntuple._tree[branch].member("fBasketSeek") for branch in set(ntuple.branches.values())])
    seeks = np.sort(seeks[seeks > 0])
    heads = [(int(seek), int(seek) + 150) for seek in seeks[:: max(1, len(seeks) // 8)]]
    return [(0, size), (0, 300), (int(seeks[-1]), size), (int(seeks[0]), int(seeks[-1])), *heads]


def use(path: Path) -> None:
    """All that is done with a file in postprocessing, and all columns beside."""
    from mlpf.postprocess import CaloParticlePolicy, TrackingParticlePolicy, postprocess_events

    with Ntuple(path) as ntuple:
        ntuple.parts(list(schema.NTUPLE.columns), 10_000)
        for events in ntuple.iterate(chunk_bytes=100_000):
            policy = CaloParticlePolicy if "caloparticle_pt" in events else TrackingParticlePolicy
            postprocess_events(events, policy(edges=("links", "radius", "knn")), nonfinite="zero")


def fuzz(source: Path, first: int, stop: int) -> Counter[str]:
    """Damage a file in many ways, use it, and count the outcomes."""
    use(source)  # kernels are compiled before memory is limited
    content, places = source.read_bytes(), regions(source)
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + MEMORY, address_space + MEMORY))
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, stop):
            rng = np.random.default_rng(seed)
            damaged = bytearray(content)
            damage, place = DAMAGES[rng.integers(len(DAMAGES))], places[rng.integers(len(places))]
            print(f"seed {seed}: {damage.__name__} {place}", flush=True)
            damage(damaged, rng, *place)
            path = Path(folder) / "damaged.root"
            path.write_bytes(damaged)
            signal.alarm(SECONDS_PER_FILE)  # nobody catches it: the process ends
            try:
                use(path)
                outcomes["used"] += 1
            except NtupleError as error:
                assert str(path) in str(error), f"the file is not named: {error}"
                assert "\n" not in str(error), error
                outcomes["refused"] += 1
            signal.alarm(0)
    return outcomes


def run(source: Path, first: int, stop: int) -> Counter[str]:
    """`fuzz` in a process of its own."""
    command = [sys.executable, str(Path(__file__)), str(source), str(first), str(stop)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 2 * (stop - first), check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"status {done.returncode} after {lines[-1:]}:\n{done.stderr[-3000:]}"
    return Counter(dict(zip(("used", "refused"), map(int, lines[-1].split()), strict=True)))


def write_simulated(path: Path, compression: uproot.compression.Compression) -> Path:
    """Three small simulated events, each in baskets of its own."""
    events = read_ntuple(SAMPLE, stop=20)
    small = np.argsort(events.counts("element"))[:3]
    write_ntuple(path, [events.slice(i, i + 1) for i in sorted(small.tolist())], compression=compression)
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """Sound files of all kinds; without compression, damage reaches offsets and values."""
    folder = tmp_path_factory.mktemp("fuzz")
    simulated = {name: write_simulated(folder / f"{name}.root", uproot.ZSTD(level)) for name, level in (("zstd", 3), ("uncompressed", 0))}
    return {**simulated, "sample": SAMPLE, **{name: FILES / f"{name}.root" for name in ("cpp_simulated", "cpp_unsplit")}}


@pytest.mark.parametrize("kind", ["zstd", "uncompressed", "cpp_simulated", "cpp_unsplit"])
def test_damaged_ntuples_are_used_or_refused_by_name(kind, sources):
    outcomes = run(sources[kind], 0, 40)
    assert outcomes.total() == 40
    assert outcomes["refused"] > 10


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), [("zstd", 1000), ("uncompressed", 1000), ("cpp_simulated", 1000), ("cpp_unsplit", 1000), ("sample", 100)])
def test_thousands_of_damaged_ntuples_are_used_or_refused_by_name(kind, number, sources):
    assert run(sources[kind], 1000, 1000 + number).total() == number


def main() -> None:
    faulthandler.enable()
    outcomes = fuzz(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print(outcomes["used"], outcomes["refused"])


if __name__ == "__main__":
    main()
