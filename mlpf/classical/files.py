"""Whole files: an ntuple in, the same ntuple with the candidates of rule-based particle flow out, chunk by chunk."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from mlpf.classical.calibration import HadronCalibration
from mlpf.classical.comparison import Comparison
from mlpf.classical.elements import NEEDED_COLUMNS
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.events import Events
from mlpf.io.ntuple import Ntuple, read_ntuple, write_ntuple
from mlpf.schema import CandidateClass


@dataclass
class ClassicalReport:
    """What `reconstruct_file` did.

    Attributes:
        num_events, num_elements, num_links: read and linked.
        num_repaired: non-finite values of elements that were set to 0.
        num_candidates: by class.
        comparison: with the candidates that the ntuple came with; None where it has none.
        seconds: spent in particle flow, without reading, writing and compiling.
    """

    num_events: int = 0
    num_elements: int = 0
    num_links: int = 0
    num_repaired: int = 0
    num_candidates: Counter[CandidateClass] = field(default_factory=Counter)
    comparison: Comparison | None = None
    seconds: float = 0.0


def reconstruct_file(
    path: str | Path,
    output: str | Path,
    nonfinite: Literal["error", "zero"] = "error",
    *,
    calibration: HadronCalibration | None = None,
    threads: int = 1,
    on_events: Callable[[int], object] = lambda _: None,
) -> ClassicalReport:
    """Copy an ntuple with its candidates, their elements and the element links replaced.

    Args:
        path: ntuple of any version.
        output: written whole or not at all.
        nonfinite: what to do with non-finite momenta of elements: an error, or replace them by 0.
        calibration: of hadrons; that of the simulated detector if None.
        threads: of particle flow.
        on_events: called with the number of events of every finished chunk.

    Raises:
        NtupleError: the file cannot be read, or holds non-finite momenta.
    """
    report = ClassicalReport()

    def reconstruct(chunk: Events) -> Events:
        return rule_based_particle_flow(chunk, calibration=calibration, threads=threads)

    def chunks() -> Iterator[Events]:
        reconstruct(read_ntuple(path, stop=0))  # compiles the kernels outside of the timing
        for chunk in ntuple.iterate() if ntuple.num_events else [read_ntuple(path)]:
            yield _reconstruct(chunk, reconstruct, nonfinite, report)
            on_events(len(chunk))

    with Ntuple(path) as ntuple:
        report.num_events = write_ntuple(output, chunks(), ntuple.tree_path)
    return report


def _reconstruct(chunk: Events, reconstruct: Callable[[Events], Events], nonfinite: str, report: ClassicalReport) -> Events:
    if nonfinite == "zero":
        report.num_repaired += sum(len(bad) for bad in chunk.non_finite(NEEDED_COLUMNS).values())
        chunk = chunk.replace_non_finite(NEEDED_COLUMNS)
    given, start = chunk, time.perf_counter()
    chunk = reconstruct(chunk)
    report.seconds += time.perf_counter() - start
    if given.size("pfcandidate"):
        report.comparison = report.comparison or Comparison()
        report.comparison.add(given, chunk)
    pdgid, number = np.unique(np.abs(chunk["pfcandidate_pdgid"]), return_counts=True)
    report.num_candidates.update({CandidateClass(p): n for p, n in zip(pdgid.tolist(), number.tolist(), strict=True)})
    report.num_elements += chunk.size("element")
    report.num_links += chunk.size("element_distance")
    return chunk
