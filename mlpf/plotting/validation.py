"""Figures of a validation: all p-values, where the small ones are, and the distributions behind the smallest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mlpf.io.files import atomic_file
from mlpf.plotting.style import BLUE, CLASS_TITLES, GREY, ORANGE, RED, label, new_figure, style
from mlpf.samples.validation.collect import EVERYTHING
from mlpf.samples.validation.compare import Comparison, Outcome, Validation, p_value, sides
from mlpf.samples.validation.config import COARSE
from mlpf.samples.validation.statistics import CountScatter, HistogramScatter, Side, ks_test, shares, variance_per_scatter
from mlpf.samples.validation.sums import coarse

NUM_WORST = 4  # distributions that are drawn
SMALLEST = 1e-20  # smaller p-values are drawn here
MAX_COLUMNS, MAX_ROWS = 40, 200  # whose names fit beside a matrix
MAX_RATIO = 3.0
MAX_RATIO_ERROR = 0.25  # of points that have to be in the panel
MAX_NAME = 48  # characters of a row of a matrix; files have long names, which differ at their ends
NUM_BINS = 20  # of p-values
AXES = {"pt": r"$p_\mathrm{T}$ [GeV]", "eta": r"$\eta$", "multiplicity": "number of elements"}


def draw_validation(validation: Validation, folder: str | Path) -> list[str]:
    """Draw all figures as PNG.

    Args:
        validation: what the tests say.
        folder: where to; made if missing.

    Returns:
        names of the files.
    """
    figures: dict[str, Callable[[], Figure]] = {"p_values.png": lambda: draw_p_values(validation), "matrix.png": lambda: draw_matrix(validation)}
    for number, outcome in enumerate(worst(validation), 1):
        figures[f"worst_{number}.png"] = lambda outcome=outcome: draw_difference(validation, outcome)  # type: ignore[misc]
    for name, draw in figures.items():
        with style(), atomic_file(Path(folder) / name) as temporary:
            draw().savefig(temporary)
    return list(figures)


def worst(validation: Validation, number: int = NUM_WORST) -> list[Outcome]:
    """Outcomes with the smallest p-values, one per quantity and bin."""
    smallest: dict[tuple[str, ...], Outcome] = {}
    for outcome in sorted(validation.tests, key=lambda test: test.p):
        smallest.setdefault((outcome.quantity, outcome.within, outcome.bin, outcome.method), outcome)
    return list(smallest.values())[:number]


def title(comparison: Comparison) -> str:
    """What was compared, in words."""
    if comparison.within in ("", EVERYTHING):
        return comparison.quantity
    return f"{comparison.quantity} in {comparison.within} {CLASS_TITLES.get(comparison.bin, comparison.bin)}"


def draw_p_values(validation: Validation) -> Figure:
    """How often each p-value occurs, and all in their order against what as many uniform ones would be."""
    figure = new_figure(9.0, 3.8)
    frequency, order = figure.subplots(1, 2)
    edges, expected = np.linspace(0, 1, NUM_BINS + 1), len(validation.tests) / NUM_BINS
    by_method = {method: np.array([test.p for test in validation.tests if test.method == method]) for method in ("chi2", "ks")}
    frequency.hist(
        by_method.values(), bins=edges, stacked=True, color=(ORANGE, BLUE), label=[rf"$\chi^2$: {len(by_method['chi2'])}", f"KS: {len(by_method['ks'])}"]
    )
    frequency.axhline(expected, color="black", linestyle="--", linewidth=1.0, label="uniform")
    frequency.axhspan(expected - expected**0.5, expected + expected**0.5, color="black", alpha=0.12, linewidth=0)
    frequency.set(xlabel="p-value", ylabel=f"tests / {1 / NUM_BINS:g}", xlim=(0, 1))
    frequency.legend(loc="upper center")
    label(frequency, f"{len(validation.tests)} tests")
    for (method, values), color, marker in zip(by_method.items(), (ORANGE, BLUE), "so", strict=True):
        of_uniform = (np.arange(len(values)) + 0.5) / max(len(values), 1)
        order.plot(of_uniform, np.maximum(np.sort(values), SMALLEST), marker, color=color, markersize=3.5, label=r"$\chi^2$" if method == "chi2" else "KS")
    order.plot([1e-4, 1], [1e-4, 1], color="black", linestyle="--", linewidth=1.0, label="uniform")
    order.axhline(validation.bonferroni, color=RED, linewidth=1.2, label=f"Bonferroni: {validation.bonferroni:.2g}")
    order.set(xscale="log", yscale="log", xlabel="rank / tests", ylabel=f"p-value, or {SMALLEST:g}", xlim=(0.3 / len(validation.tests), 1.2))
    order.set_ylim(0.3 * min(validation.bonferroni, max(validation.worst.p, SMALLEST)), 2.0)
    order.legend(loc="best")
    order.set_title("passed" if validation.passed else "failed", loc="right", fontsize="small")
    return figure


def draw_matrix(validation: Validation) -> Figure:
    """p-values by part and test, on a scale that ends at the Bonferroni threshold."""
    names = _rows(validation)
    parts = [part for part in range(len(validation.parts)) if part != validation.reference]
    row, column = {name: i for i, name in enumerate(names)}, {part: i for i, part in enumerate(parts)}
    values = np.full((len(names), len(parts)), np.nan)
    for test in validation.tests:
        values[row[_row(test)], column[test.part]] = -np.log10(max(test.p, SMALLEST))
    figure = new_figure(min(3.6 + 0.32 * len(parts), 16.0), 1.8 + 0.17 * min(len(names), MAX_ROWS))
    axes = figure.subplots()
    axes.set_facecolor(GREY)
    limit = -np.log10(validation.bonferroni)
    image = axes.imshow(values, aspect="auto", cmap="YlGnBu", norm=Normalize(0, limit), interpolation="nearest")
    failed = np.argwhere(values > limit)
    axes.plot(failed[:, 1], failed[:, 0], "x", color=RED, markersize=5, markeredgewidth=1.4)
    if len(names) <= MAX_ROWS:
        axes.set_yticks(range(len(names)), [_shortened(name) for name in names], fontsize="x-small")
    if len(parts) <= MAX_COLUMNS:
        axes.set_xticks(range(len(parts)), [validation.parts[part].name for part in parts], rotation=90, fontsize="x-small")
    axes.tick_params(which="both", length=0)
    figure.colorbar(image, ax=axes, label=r"$-\log_{10}$ p, up to the Bonferroni threshold", fraction=0.08)
    axes.set_title(f"compared with {validation.reference_name}; grey: not tested, cross: beyond the threshold", loc="right", fontsize="x-small")
    return figure


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2 - 2]}...{name[-MAX_NAME // 2 + 1 :]}"


def _row(test: Outcome) -> str:
    return f"{title(test)} ({test.method})"


def _rows(validation: Validation) -> list[str]:
    """Names of all tests that were done anywhere, in the order of the bins."""
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys((test.method, test.quantity, test.within) for test in validation.tests))}

    def place(test: Outcome) -> tuple[int, int]:
        return kinds[test.method, test.quantity, test.within], validation.sums.space.names(test.within).index(test.bin) if test.within else 0

    return list(dict.fromkeys(_row(test) for test in sorted(validation.tests, key=place)))


def draw_difference(validation: Validation, outcome: Outcome) -> Figure:
    """The distributions of a part and of what it was compared with, and their ratio; of cumulative distributions the difference, too."""
    if outcome.method == "chi2":
        return _draw_counts(validation, outcome)
    stratum = validation.sums.space.names(outcome.within).index(outcome.bin)
    sums = validation.sums.histograms[outcome.quantity, outcome.within].of_stratum(stratum)
    binning, scatter = getattr(validation.config, outcome.quantity), HistogramScatter.of(sums)
    a, b = sides(sums.histogram, sums.events, outcome.part, validation.reference)
    figure = new_figure(6.0, 6.4)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.4, 1.6))
    edges = binning.edges[::COARSE]
    values, errors = _coarse_shares((a, b), scatter)
    for share, error, color, name in zip(values, errors, (BLUE, ORANGE), _names(validation, outcome), strict=True):
        top.stairs(share, edges, color=color, label=name)
        top.stairs(share + error, edges, baseline=np.maximum(share - error, 0), fill=True, color=color, alpha=0.3, linewidth=0)
    _draw_ratio(middle, 0.5 * (edges[:-1] + edges[1:]), edges, values, errors)
    found = ks_test(a, b, scatter)
    upper = binning.edges
    for widths, alpha in ((2, 0.15), (1, 0.3)):
        bottom.fill_between(upper, -widths * found.sigma[0, :-1], widths * found.sigma[0, :-1], color=GREY, alpha=alpha, linewidth=0)
    bottom.plot(upper, found.difference[0, :-1], color=BLUE)
    bottom.set_ylabel("difference of\ncumulative shares")
    bottom.set_xlabel(("target " if outcome.within == "class" else "element ") * (outcome.quantity != "multiplicity") + AXES[outcome.quantity])
    if binning.logarithmic:
        bottom.set_xscale("log")
    filled = np.flatnonzero(values.sum(axis=0))
    if len(filled):
        bottom.set_xlim(edges[filled[0]], edges[filled[-1] + 1])
    top.set_ylabel(f"share of {'events' if outcome.quantity == 'multiplicity' else 'entries'}")
    _finish(top, outcome)
    return figure


def _names(validation: Validation, outcome: Outcome) -> tuple[str, str]:
    number, of_reference = outcome.events
    return f"{validation.parts[outcome.part].name}: {number} events", f"{validation.reference_name}: {of_reference} events"


def _coarse_shares(pair: tuple[Side, Side], scatter: HistogramScatter) -> tuple[np.ndarray, np.ndarray]:
    """Shares of both sides in coarse bins within the edges ``(2, C - 2)``, and their standard deviations."""
    values = [shares(side.content.cumsum(axis=-1), coarse(side.content))[0] for side in pair]
    errors = [np.sqrt(scatter.coarse * variance_per_scatter(side)[:, None])[0] for side in pair]
    return np.array(values)[:, 1:-1], np.array(errors)[:, 1:-1]


def _draw_ratio(axes: Axes, centres: np.ndarray, edges: np.ndarray, values: np.ndarray, errors: np.ndarray) -> None:
    """The part over the reference with its own errors, and those of the reference as a band."""
    known = values[1] > 0
    scale = np.where(known, values[1], 1.0)
    band = np.where(known, errors[1] / scale, 0.0)
    axes.stairs(1 + band, edges, baseline=1 - band, fill=True, color=ORANGE, alpha=0.3, linewidth=0)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    shown = known & (values[0] > 0)
    axes.errorbar(centres[shown], (values[0] / scale)[shown], (errors[0] / scale)[shown], fmt="o", color=BLUE, markersize=3, elinewidth=1.0)
    precise = shown & (errors[0] < MAX_RATIO_ERROR * scale)  # a bin with two entries does not hide a slope in the others
    off = np.abs(values[0] / scale - 1)[precise if precise.any() else shown]
    half = float(np.clip(1.3 * off.max(initial=0.0), 0.1, MAX_RATIO - 1))
    axes.set_ylim(max(1 - half, 0.0), 1 + half)
    axes.set_ylabel("ratio")


def _draw_counts(validation: Validation, outcome: Outcome) -> Figure:
    sums = validation.sums.counts[outcome.quantity]
    scatter = CountScatter.of(sums)
    pair = sides(sums.counts, sums.events, outcome.part, validation.reference)
    shown = np.flatnonzero(scatter.mean)
    values = np.array([side.content / side.events for side in pair])[:, shown]
    errors = np.array([np.sqrt(np.diag(scatter.covariance) / side.events) for side in pair])[:, shown]
    figure = new_figure(6.0, 5.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.5, 1.4))
    for i, (color, name) in enumerate(zip((BLUE, ORANGE), _names(validation, outcome), strict=True)):
        top.bar(np.arange(len(shown)) + 0.4 * i - 0.2, values[i], 0.4, yerr=errors[i], color=color, label=name, error_kw={"elinewidth": 1})
    _draw_ratio(bottom, np.arange(len(shown), dtype=np.float64), np.arange(len(shown) + 1) - 0.5, values, errors)
    names = [validation.sums.space.names(outcome.quantity)[category] for category in shown]
    bottom.set_xticks(range(len(shown)), [CLASS_TITLES.get(name, name) for name in names], rotation=30, ha="right")
    for axes in (top, bottom):
        axes.tick_params(axis="x", which="both", length=0)
    top.set_ylabel("entries per event")
    top.set_yscale("log")
    _finish(top, outcome)
    return figure


def _finish(axes: Axes, outcome: Outcome) -> None:
    """Room for the legend, and the result above."""
    low, high = axes.get_ylim()
    axes.set_ylim((low, high * (high / low) ** 0.3) if axes.get_yscale() == "log" else (0, 1.3 * high))
    axes.legend(loc="upper right")
    statistic = rf"$\chi^2$ = {outcome.statistic:.1f} / {outcome.dof}" if outcome.method == "chi2" else f"D = {outcome.statistic:.3g}"
    label(axes, f"{title(outcome)}: {statistic}, p = {p_value(outcome.p)}")
