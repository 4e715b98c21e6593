"""The whole validation: samples, measurements, one result."""

from collections.abc import Callable
from typing import Any

import mlpf
from mlpf.evaluation.detector import calorimeters, closure, content, jets, material, taus, tracking
from mlpf.evaluation.detector.samples import Sample, collect
from mlpf.evaluation.detector.statements import Findings
from mlpf.metrics.jets import Table
from mlpf.simulation.simulate import event_generator

SEED = 77
QUICK = 0.05  # of the usual number of events


def samples(scale: float) -> list[Sample]:
    """Everything that is simulated, the longest jobs first."""
    return [*jets.samples(scale), *taus.samples(scale), *calorimeters.samples(scale), *closure.samples(scale), *tracking.samples(scale)]


def validate(scale: float = 1.0, seed: int = SEED, jobs: int = 1, on_done: Callable[[str, int], object] = lambda *_: None) -> dict[str, Any]:
    """Simulate and measure.

    Args:
        scale: how many events, relative to the usual number (15 minutes on two cores).
        seed: of everything that is random.
        jobs: processes.
        on_done: called with a sample's name and the number of its events just done.

    Returns:
        content of `validation.json`: ``version, seed, num_events`` per sample, ``curves`` per topic, ``checks`` (`Check.to_json`).

    Raises:
        MissingDependencyError: Pythia 8 is not installed.
    """
    plan = samples(scale)
    for sample in plan:
        event_generator(sample.config)  # before hours of work: is there what it needs?
    curves, checks = measure(collect(plan, seed, jobs, on_done), scale, seed)
    num_events = {sample.name: sample.num_events for sample in plan}
    return {"version": mlpf.__version__, "seed": seed, "num_events": num_events, "curves": curves, "checks": checks}


def measure(tables: dict[str, Table], scale: float, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Tables of all samples -> curves per topic and checks, as in `validation.json`; numbers without an interval, of too few events, are left out."""
    topics: dict[str, Findings] = {
        "calorimeters": calorimeters.measure(tables),
        "tracks": tracking.measure(tables),
        "material": material.measure(tables["e eta"], scale, seed),
        "closure": closure.measure(tables),
        "jets": jets.measure(tables),
        "content": content.measure(tables),
        "taus": taus.measure(tables["ztautau"]),
    }
    checks = [check.to_json() for findings in topics.values() for check in findings.checks if check.is_measured]
    return {name: findings.curves for name, findings in topics.items()}, checks
