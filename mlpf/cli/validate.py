"""``mlpf validate``: whether the shards of a dataset are samples of one and the same distribution."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from mlpf.cli.console import console, progress, rate

if TYPE_CHECKING:
    from mlpf.samples.validation.compare import Validation

REPORT = "validation.json"


def run(
    path: Annotated[Path, typer.Argument(metavar="dataset", help="Dataset folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make: validation.json and figures.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to the parameters, for example validation.min_events=50.")] = None,
    parameters: Annotated[Path | None, typer.Option("--parameters", "-p", help="Parameter file; its section 'validation' is used.")] = None,
    chunks: Annotated[int | None, typer.Option(min=2, help="Compare so many equal stretches of events in place of the shards.")] = None,
    reference: Annotated[Literal["rest", "first"] | None, typer.Option(help="Compare each with all others together (default), or with the first.")] = None,
    threshold: Annotated[float | None, typer.Option(help="p-values below are warnings; default 0.05.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 if the dataset fails.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; they change nothing but the time.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier validation.")] = False,
) -> None:
    """Compare the shards of a dataset with each other, to see whether it is well mixed.

    Source, class, type and multiplicity, and pt and eta inside each bin of those. Events are the independent draws, not elements. A single p-value below the
    threshold is a warning, and some are expected by chance; the dataset fails if one lies below the threshold divided by the number of tests (Bonferroni).

    Example: [bold]mlpf validate output/dataset --output output/validation --chunks 4[/]
    """
    from mlpf.config import load_parameters, parse_section
    from mlpf.errors import DatasetError
    from mlpf.io.files import atomic_directory, check_replaceable, write_text
    from mlpf.io.shards import ShardedDataset
    from mlpf.plotting.validation import draw_validation
    from mlpf.samples.validation.compare import document, validate
    from mlpf.samples.validation.config import ValidationConfig

    start = time.perf_counter()
    values = load_parameters(parameters, overrides or [])
    options = {"chunks": chunks, "reference": reference, "threshold": threshold}
    values.setdefault("validation", {}).update({key: value for key, value in options.items() if value is not None})
    config = parse_section(values, "validation", ValidationConfig, parameters or "parameters")
    if overwrite:
        check_replaceable(output, REPORT)
    dataset = ShardedDataset(path)
    with atomic_directory(output, overwrite) as folder:
        with progress() as bar:
            task = bar.add_task("events", total=len(dataset))
            validation = validate(dataset, config, jobs, lambda number: bar.advance(task, number))
        seconds = time.perf_counter() - start
        write_text(folder / REPORT, json.dumps(document(dataset, validation), indent=1) + "\n")
        figures = draw_validation(validation, folder)
    console.print(f"{escape(str(path))}: read {len(dataset)} events of {len(validation.parts)} {'shards' if config.chunks is None else 'chunks'}", end="")
    console.print(f" ({rate(len(dataset), seconds)}), each compared with {escape(validation.reference_name)}")
    _print(validation)
    console.print(f"wrote {escape(str(output))}: {REPORT} and {len(figures)} figures, in {time.perf_counter() - start:.1f} s")
    verdict = _verdict(validation)
    if strict and not validation.passed:
        raise DatasetError(f"{path}: {verdict}; mix it with mlpf mix, or look at {output / REPORT}")
    console.print(f"[{'green' if validation.passed else 'bold red'}]{'passed' if validation.passed else 'failed'}[/]: {escape(verdict)}")


def _print(validation: "Validation") -> None:
    """One line per quantity, and what was left out."""
    from mlpf.samples.validation.compare import p_value

    table = Table("compared", "test", "tests", "skipped", "smallest p", "warnings")
    kinds = dict.fromkeys((c.quantity, c.within) for c in (*validation.tests, *validation.skipped))
    for quantity, within in kinds:
        tests = [test for test in validation.tests if (test.quantity, test.within) == (quantity, within)]
        skipped = sum((c.quantity, c.within) == (quantity, within) for c in validation.skipped)
        smallest = p_value(min(test.p for test in tests)) if tests else ""
        warnings = sum(test.p < validation.config.threshold for test in tests)
        name = f"{quantity} by {within}" if within not in ("", "all") else quantity
        method = tests[0].method if tests else ""
        table.add_row(name, method, str(len(tests)), str(skipped), smallest, str(warnings))
    console.print(table)
    if validation.empty:
        console.print(f"[yellow]without events: {escape(', '.join(validation.empty))}[/]")
    for column, number in validation.sums.not_finite.items():
        console.print(f"[yellow]{column}: {number} values are not finite, counted below or above all bins[/]")
    for name, reason in validation.sums.space.left_out.items():
        console.print(f"[yellow]{name} was not compared: {reason}[/]")
    for quantity in validation.sums.counts:
        rare = sorted({name for test in validation.tests if test.quantity == quantity for name in test.dropped})
        if rare:
            console.print(f"{quantity}: chi2 without {escape(', '.join(rare))} (too few events)")
    for reason in dict.fromkeys(skipped.reason for skipped in validation.skipped):
        console.print(f"skipped: {sum(skipped.reason == reason for skipped in validation.skipped)} tests, {reason}")


def _verdict(validation: "Validation") -> str:
    """The outcome in one line."""
    from mlpf.plotting.validation import title
    from mlpf.samples.validation.compare import p_value

    number, threshold, worst = len(validation.tests), validation.config.threshold, validation.worst
    chance = f"{len(validation.warnings)} of {number} p-values below {threshold:g} ({threshold * number:.0f} expected by chance)"
    where = f"{title(worst)}, {validation.parts[worst.part].name}"
    sign = "not below" if validation.passed else "below"
    return f"{chance}; smallest {p_value(worst.p)} ({where}) {sign} {threshold:g} / {number} = {validation.bonferroni:.2g} (Bonferroni)"
