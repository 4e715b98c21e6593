"""Tables of the page: what stands in each cell, also as plain numbers (TSV) and as LaTeX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from mlpf.plotting.report.estimates import NO_ESTIMATE, SIGNIFICANT, Difference, Estimate, best, difference, has_value, sigmas, text
from mlpf.plotting.report.rows import Group, Results, Row, find
from mlpf.plotting.report.subjects import CLASSIFICATION_TITLES

_LATEX = {"\\": r"\textbackslash{}", **{c: f"\\{c}" for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"η": r"$\eta$", "φ": r"$\phi$", "Δ": r"$\Delta$", "σ": r"$\sigma$", "≈": r"$\approx$", "−": "$-$", "–": "--", "±": r"$\pm$", "|": "$|$"}
_LATEX |= {"<": "$<$", ">": "$>$", "×": r"$\times$"}


@dataclass(frozen=True)
class Cell:
    """What is shown, and the same for a spreadsheet (as many columns as its column has) and for a paper.

    Attributes:
        mark: ``best`` beyond the uncertainties, ``first`` within them, ``better``, ``worse`` than the reference, ``same``, or nothing.
    """

    shown: Markup | str
    tsv: str
    latex: str
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """Heading of a column, and whose numbers stand in it."""

    title: str
    system: str = ""
    tsv: str = ""


@dataclass(frozen=True)
class Line:
    """A row; ``system`` where all of it belongs to one."""

    title: str
    cells: Sequence[Cell]
    system: str = ""


@dataclass(frozen=True)
class Block:
    """Lines under one heading."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Table:
    """A table; ``name`` is unique among those of a dataset."""

    name: str
    caption: str
    columns: Sequence[Column]
    blocks: Sequence[Block] = field(default_factory=list)
    note: str = ""


def latex_text(words: str) -> str:
    """Words for LaTeX, with its special characters escaped and ours written as formulas."""
    return "".join(_LATEX.get(letter, letter) for letter in words)


def side_by_side(name: str, caption: str, groups: Sequence[Group], systems: Mapping[str, str], rivals: Sequence[str]) -> Table:
    """A column for each system that has any of the numbers; the best of ``rivals`` is marked in each row."""
    shown = {key: title for key, title in systems.items() if any(key in r.values for group in groups for r in group.rows)}
    blocks = [Block(group.title, [_line(r, shown, rivals) for r in group.rows]) for group in groups]
    note = ""
    if any(cell.mark for block in blocks for line in block.lines for cell in line.cells):
        note = f"★ best of {' and '.join(systems[key] for key in rivals if key in shown)} by at least {SIGNIFICANT:g} σ from the next, ☆ by less."
    return Table(name, caption, [_column(title, key) for key, title in shown.items()], blocks, note)


def against(name: str, caption: str, groups: Sequence[Group], systems: Mapping[str, str], others: Sequence[str], reference: str) -> Table:
    """The reference's numbers, and of each of the others the difference to them and what it is worth."""
    columns = [_column(systems[reference], reference)]
    columns += [Column(f"Δ {systems[key]}", key, "\t".join([f"{systems[key]} - {systems[reference]}", "low", "high", "sigma"])) for key in others]
    blocks = []
    for group in groups:
        rows = [r for r in group.rows if has_value(r.values.get(reference)) and any(has_value(r.values.get(key)) for key in others)]
        lines = [
            Line(
                r.title,
                [_estimate_cell(r.values.get(reference))]
                + [_difference_cell(difference(r.values.get(key), r.values.get(reference), r.better), bool(r.better)) for key in others],
            )
            for r in rows
        ]
        if lines:
            blocks.append(Block(group.title, lines))
    return Table(name, caption, columns, blocks)


def working_points(classification: Results, systems: Mapping[str, str]) -> Table:
    """Thresholds, efficiency and misidentification of each class and system, all elements."""
    blocks = []
    for category, by_model in (classification.get("all") or {}).items():
        lines = [
            Line(_point_title(point, systems[model]), _point_cells(values), model)
            for model, measured in by_model.items()
            if model in systems
            for point, values in (measured.get("working_points") or {}).items()
        ]
        if lines:
            blocks.append(Block(CLASSIFICATION_TITLES.get(category, category.replace("_", " ")), lines))
    columns = [Column("particle threshold"), Column("class threshold"), _column("efficiency"), _column("misidentification")]
    return Table("working_points", "Working points, all elements", columns, blocks)


def conditions(timing: Results, systems: Mapping[str, str]) -> Table:
    """What the times were measured on."""
    keys = {"device": "device", "threads": "threads", "processor": "processor", "seconds": "seconds in all"}
    lines = [Line(title, [_plain_cell(find(measured, key)) for measured in timing.values()]) for key, title in keys.items()]
    columns = [Column(systems.get(model, model), model) for model in timing]
    return Table("conditions", "Measured on", columns, [Block("", lines)] if timing else [])


def _column(title: str, system: str = "") -> Column:
    return Column(title, system, f"{title}\tlow\thigh")


def _line(r: Row, systems: Mapping[str, str], rivals: Sequence[str]) -> Line:
    found = best({key: r.values.get(key) for key in rivals}, r.better)
    marks = {found[0]: "best" if found[1] else "first"} if found else {}
    return Line(r.title, [_estimate_cell(r.values.get(key), marks.get(key, "")) for key in systems])


def _estimate_cell(estimate: Estimate | None, mark: str = "") -> Cell:
    written = text(estimate) if estimate is not None else None
    numbers = "\t".join("" if (number := (estimate or NO_ESTIMATE)[key]) is None else f"{number:.6g}" for key in ("value", "low", "high"))
    if written is None:
        return Cell("", numbers, "")
    few = Markup(" <small>n = {}</small>").format(estimate["n"]) if estimate and not written.up and estimate["n"] else ""
    return Cell(written.html() + few, numbers, written.latex(), mark)


def _difference_cell(found: Difference | None, directed: bool) -> Cell:
    if found is None:
        return Cell("", "\t\t\t", "")
    written = text(found.difference, signed=True)
    assert written is not None
    numbers = "\t".join(
        "" if number is None else f"{number:.6g}" for number in (*(found.difference[key] for key in ("value", "low", "high")), found.significance)
    )
    if found.significance is None:
        return Cell(written.html(), numbers, written.latex())
    mark = "same" if not found.is_significant else "differs" if not directed else "better" if found.significance > 0 else "worse"
    worth = sigmas(found.significance)
    words = {"same": f"≈ {worth}", "better": f"▲ better, {worth}", "worse": f"▼ worse, {worth}", "differs": worth}[mark]
    plain = {"same": worth, "differs": worth}.get(mark, f"{mark}, {worth}")
    return Cell(written.html() + Markup("<span class='worth'>{}</span>").format(words), numbers, f"{written.latex()} ({latex_text(plain)})", mark)


def _plain_cell(value: Any) -> Cell:
    words = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return Cell(words, " ".join(words.split()), latex_text(words))


def _point_title(point: str, title: str) -> str:
    return f"{title}, as it is" if point == "fixed" else f"{title}, {100 * float(point):g} % efficiency"


def _point_cells(values: Results) -> list[Cell]:
    cells = [_plain_cell(values.get(key)) for key in ("particle_threshold", "class_threshold")]
    return cells + [_estimate_cell(values.get(key)) for key in ("efficiency", "misidentification")]
