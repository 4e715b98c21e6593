"""Evaluations that were made apart, as one: parts of a dataset are added up, datasets and models put side by side; figures and report are made anew."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from mlpf.errors import MlpfError, nearest
from mlpf.evaluation.choice import Part
from mlpf.evaluation.folder import METRICS, Document, Stored, draw, empty_documents, read_evaluation, save_sums, with_numbers, write_documents
from mlpf.evaluation.timing import Timing
from mlpf.io.files import atomic_directory, check_replaceable
from mlpf.metrics.summary import Metrics


@dataclass
class Merged:
    """What `merge` did.

    Attributes:
        metrics, performance: content of `metrics.json` and `performance.json`.
        replaced: one line for each model that was there twice.
        figures: names of the figures of each dataset.
        seconds: wall time.
    """

    metrics: Document
    performance: Document
    replaced: list[str]
    figures: dict[str, list[str]]
    seconds: float


class Whole(NamedTuple):
    """Some models on a dataset.

    Attributes:
        origin: the evaluation they come from, of several parts the first one.
        entry: of the dataset in its `metrics.json`.
        sums: counts of the events.
        timing: of the models.
    """

    origin: Path
    entry: Document
    sums: Metrics
    timing: dict[str, Timing]


def merge(evaluations: Sequence[str | Path], output: str | Path, reference: str | None = None, overwrite: bool = False) -> Merged:
    """Join evaluations into one.

    Parts of a dataset and the same models are added up. Other datasets, and other models of the same events, are put side by side; a model that is there twice
    is taken from the later evaluation. Predictions stay where they are.

    Args:
        evaluations: folders of `evaluate` or of this.
        output: folder to make.
        reference: system of the ratio panels and of the comparison; by default `mlpf.plotting.summary.default_reference`.
        overwrite: replace an earlier evaluation (never anything else, nor one of those that are joined).

    Raises:
        MlpfError: an evaluation cannot be read, a part is missing or there twice, models saw different events, no system is called ``reference``.
    """
    start = time.perf_counter()
    stored = [read_evaluation(folder) for folder in evaluations]
    if Path(output).resolve() in [evaluation.folder.resolve() for evaluation in stored]:
        raise MlpfError(f"{output}: is one of the evaluations to join; choose another output")
    check_replaceable(output, METRICS)
    metrics, performance = empty_documents()
    replaced: list[str] = []
    with atomic_directory(output, overwrite) as folder:
        for name in dict.fromkeys(name for evaluation in stored for name in evaluation.metrics["datasets"]):
            joined = reduce(lambda a, b: _side_by_side(name, a, b, replaced), _wholes(name, stored))
            save_sums(folder, name, joined.sums, joined.timing)
            metrics["datasets"][name], performance["classification"][name] = with_numbers(joined.entry, joined.sums, joined.timing)
        _check_reference(reference, metrics)
        write_documents(folder, metrics, performance)
        figures = draw(folder, metrics, performance, reference)
    return Merged(metrics, performance, replaced, figures, time.perf_counter() - start)


def _wholes(name: str, stored: Sequence[Stored]) -> Iterator[Whole]:
    """What is whole as it is, and the sum of each set of parts in the place of its first one."""
    groups: dict[object, list[Stored]] = {}
    for evaluation in stored:
        if (entry := evaluation.metrics["datasets"].get(name)) is not None:
            key = (*entry["models"], Part.parse(entry["part"]).total) if "part" in entry else len(groups)
            groups.setdefault(key, []).append(evaluation)
    for group in groups.values():
        if "part" in group[0].metrics["datasets"][name]:
            _check_parts(name, group)
        yield _sum(name, group)


def _check_parts(name: str, parts: Sequence[Stored]) -> None:
    """Raise `MlpfError` unless these are all parts of one dataset, each once, of the same models and split."""
    entries = [evaluation.metrics["datasets"][name] for evaluation in parts]
    first = entries[0]
    origin: dict[str, Path] = {}
    for evaluation, entry in zip(parts, entries, strict=True):
        part, folder = entry["part"], evaluation.folder
        if part in origin:
            raise MlpfError(f"{name}: part {part} is in {origin[part]} and in {folder}; give it once")
        origin[part] = folder
        for what in ("fingerprint", "split", "models"):
            if _comparable(entry[what]) != _comparable(first[what]):
                raise MlpfError(f"{name}: part {part} in {folder} has other {what} than part {first['part']} in {parts[0].folder}; make it again")
    total = Part.parse(first["part"]).total
    missing = [str(Part(number, total)) for number in range(1, total + 1) if str(Part(number, total)) not in origin]
    if missing:
        raise MlpfError(f"{name}: part {missing[0]} of {', '.join(first['models'])} is missing; make it with mlpf evaluate --part {missing[0]}")


def _sum(name: str, group: Sequence[Stored]) -> Whole:
    """All events of a whole, or of parts, one after the other in memory."""
    entry = next((e for e in (evaluation.metrics["datasets"][name] for evaluation in group) if e["num_events"]), None)
    if entry is None:
        split = group[0].metrics["datasets"][name]["split"]
        raise MlpfError(f"{name}: no event of any part falls to the split '{split}'; pass --split all to mlpf evaluate, or use more events")
    models = list(entry["models"])
    sums = Metrics(models)
    timing: dict[str, Timing] = {}
    for evaluation in group:
        if evaluation.metrics["datasets"][name]["num_events"]:
            own, times = evaluation.load_sums(name)
            sums += own
            timing = {model: timing[model] + times[model] if timing else times[model] for model in models}
    return Whole(group[0].folder, {key: value for key, value in entry.items() if key != "part"}, sums, timing)


def _comparable(value: str | Document) -> object:
    """What parts have in common wherever they were made: fingerprint and split as they are; models without their paths."""
    if isinstance(value, str):
        return value
    return {name: {key: text for key, text in about["description"].items() if key != "model"} for name, about in value.items()}


def _side_by_side(name: str, earlier: Whole, later: Whole, replaced: list[str]) -> Whole:
    """Models of both on the same events; of those that are in both, the later ones.

    Raises:
        MlpfError: the events differ.
    """
    replaced += [
        f"{name}, {model}: in {earlier.origin} and {later.origin}; taken from {later.origin}"
        for model in earlier.entry["models"]
        if model in later.entry["models"]
    ]
    if earlier.entry["models"].keys() <= later.entry["models"].keys():
        return later
    a, b = earlier.sums, later.sums
    if (a.num_events, a.num_elements, a.events_digest) != (b.num_events, b.num_elements, b.events_digest):
        raise MlpfError(
            f"{name}: {earlier.origin} has {a.num_events} events ({earlier.entry['split']}, digest {a.events_digest}), {later.origin} has other ones "
            f"({b.num_events}, {later.entry['split']}, {b.events_digest}); evaluate these models in one call, or name the datasets apart with NAME=PATH"
        )
    entry = {**later.entry, "models": {**earlier.entry["models"], **later.entry["models"]}}
    return Whole(later.origin, entry, a.beside(b), {**earlier.timing, **later.timing})


def _check_reference(reference: str | None, metrics: Document) -> None:
    systems = dict.fromkeys(system for entry in metrics["datasets"].values() for system in entry["systems"])
    if reference is not None and reference not in systems:
        raise MlpfError(f"reference '{reference}': no such system{nearest(reference, systems)} (known: {', '.join(systems)})")
