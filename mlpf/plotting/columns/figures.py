"""One figure per column and per pair of columns: samples over each other, below it their ratio to the first."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mlpf.plotting.columns.config import Log, Normalise
from mlpf.plotting.columns.frame import SOFT, Frame, PlainNumbers, is_crowded, set_log_ticks
from mlpf.plotting.columns.histograms import Histogram
from mlpf.plotting.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET
from mlpf.selection import MULTIPLICITY

COLORS = (BLUE, RED, ORANGE, PURPLE, VIOLET, GREY, "#717581", "#92dadd", "#a96b59", "#b9ac70")  # arXiv:2107.02270, six and ten colours
SYMBOLS = {
    "sin_phi": r"$\sin\,\phi$", "cos_phi": r"$\cos\,\phi$", "pt": r"$p_\mathrm{T}$", "eta": r"$\eta$", "phi": r"$\phi$",
    "px": "$p_x$", "py": "$p_y$", "pz": "$p_z$", "theta": r"$\theta$", "lambda": r"$\lambda$",
}  # fmt: skip
Line = Literal["-", "--", ":", "-."]
LINES: tuple[Line, ...] = ("-", "--", ":", "-.")
WIDTH, HEIGHT = 6.4, 5.0  # inches
LEFT, RIGHT, BOTTOM, ROW = 0.85, 0.2, 0.8, 0.21  # inches: around the axes, and a line of the table above them
RATIO = 0.27  # of the height of the axes
DYNAMIC, SMALL = 40.0, 0.1  # a vertical axis is logarithmic if this share of the filled bins is that many times smaller than the largest
HEIGHT_TITLES: dict[Normalise, str] = {"entries": "share of entries per bin", "events": "entries per event and bin", "no": "entries per bin"}
MAX_RATIO = 3.0  # shown
MEANING, NAME, LONG_NAME = 92, 40, 60  # letters that fit into a line of the table, and of its first column, with and without moments


@dataclass(frozen=True)
class Described:
    """A column as people see it: its name, what it belongs to, the unit of its values, and its meaning in a line."""

    name: str
    group: str
    unit: str
    meaning: str

    @property
    def title(self) -> str:
        """For an axis: words and symbols, and the unit."""
        if self.name.startswith(MULTIPLICITY):
            return f"{self.name.removeprefix(MULTIPLICITY).replace('_', ' ')} multiplicity"
        suffix = next((suffix for suffix in SYMBOLS if self.name.endswith(f"_{suffix}")), "")
        words = self.name.removesuffix(suffix).replace("_", " ") + SYMBOLS.get(suffix, "")
        return f"{words} [{self.unit}]" if self.unit else words


@dataclass(frozen=True)
class Drawn:
    """A sample in a figure: its name, the cuts that matter here, its events that passed them (the sum of their weights), and its place among all samples."""

    name: str
    cuts: tuple[str, ...]
    num_events: float
    place: int

    @property
    def color(self) -> str:
        """Of its lines."""
        return COLORS[self.place % len(COLORS)]

    @property
    def line(self) -> Line:
        """Style of its lines."""
        return LINES[self.place // len(COLORS) % len(LINES)]


def norm(total: float, num_events: float, normalise: Normalise) -> float:
    """What to divide counts by; 1 where there are none."""
    return {"entries": total, "events": num_events, "no": 1.0}[normalise] or 1.0


def height_title(normalise: Normalise, weighted: bool) -> str:
    """Of the axis that shows `shares`."""
    return ("weighted " if weighted else "") + HEIGHT_TITLES[normalise]


def shares(histogram: Histogram, num_events: float, normalise: Normalise) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the bins, with those below and above at the ends, and their errors, sqrt of the sum of squared weights: ``(n + 2,)`` each."""
    per = norm(histogram.total, num_events, normalise)
    return histogram.counts / per, np.sqrt(histogram.variances) / per


def ratio(height: np.ndarray, error: np.ndarray, reference: np.ndarray, reference_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height / reference and its error, of independent errors of both; NaN where either has no entries."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where((height > 0) & (reference > 0), height / reference, np.nan)
        return value, value * np.hypot(error / height, reference_error / reference)


def draw_column(column: Described, histograms: Mapping[Drawn, Histogram], normalise: Normalise, weighted: bool, log: Log) -> Figure:
    """Draw one column of some samples, which have equal bins; call inside `mlpf.plotting.style.style`.

    Bins at the very ends, shaded, hold all entries outside the range; they are there if any sample has some.
    """
    frame = Frame(
        next(iter(histograms.values())).binning,
        np.sum([histogram.counts for histogram in histograms.values()], axis=0),
        sum(histogram.zeros for histogram in histograms.values()),
    )
    about = _wrapped(column, list(histograms))
    figure, upper, lower = _panels(len(histograms), len(about))
    _table(figure, column, about, histograms)
    heights = {drawn: [frame.visible(values) for values in shares(histogram, drawn.num_events, normalise)] for drawn, histogram in histograms.items()}
    for drawn, (height, error) in heights.items():
        if drawn is next(iter(heights)):
            upper.stairs(height, frame.edges, fill=True, color=drawn.color, alpha=0.15)
        upper.stairs(height + error, frame.edges, baseline=height - error, fill=True, color=drawn.color, alpha=0.3)
        upper.stairs(height, frame.edges, color=drawn.color, linestyle=drawn.line, linewidth=1.5)
    _set_vertical(upper, list(heights.values()), log)
    upper.set_ylabel(height_title(normalise, weighted))
    if lower is not None:
        _draw_ratios(lower, frame, heights)
        upper.tick_params(labelbottom=False)
    for axes in figure.axes:
        frame.prepare(axes)
    frame.label_outside(upper)
    if not is_crowded(frame.names):  # it stands above the axes, too
        figure.axes[-1].set_xlabel(column.title)
    return figure


def _panels(num_samples: int, num_lines: int) -> tuple[Figure, Axes, Axes | None]:
    """A figure with room for the table, the axes and, for more than one sample, those of the ratio. Fixed places: to measure texts takes long."""
    head = 0.26 + ROW * (num_samples + num_lines + 1.5)
    page = HEIGHT + head
    figure = Figure(figsize=(WIDTH, page))
    x, width = LEFT / WIDTH, 1 - (LEFT + RIGHT) / WIDTH
    height = HEIGHT - BOTTOM
    small = RATIO * height if num_samples > 1 else 0.0
    gap = 0.08 if num_samples > 1 else 0.0
    upper = figure.add_axes((x, (BOTTOM + small + gap) / page, width, (height - small - gap) / page))
    lower = figure.add_axes((x, BOTTOM / page, width, small / page)) if num_samples > 1 else None
    return figure, upper, lower


def _table(figure: Figure, column: Described, about: Sequence[str], histograms: Mapping[Drawn, Histogram]) -> None:
    """Above the axes: name and meaning of the column, and a line per sample with what it was made of."""
    page = figure.get_size_inches()[1]
    lines = [1 - (0.2 + ROW * i) / page for i in range(len(histograms) + 2 + len(about))]
    left, right = LEFT / WIDTH, 1 - RIGHT / WIDTH
    figure.text(left, lines[0], column.name, weight="bold", va="center")
    figure.text(right, lines[0], r"$\mathbf{mlpf}$", va="center", ha="right")
    for y, text in zip(lines[1:], about, strict=False):
        figure.text(left, y, text, fontsize="small", color=SOFT, va="center")
    lines = lines[1 + len(about) :]
    heads = ("entries",) if next(iter(histograms.values())).binning.categories is not None else ("entries", "mean", "std")
    places = [right - 0.13 * i for i in reversed(range(len(heads)))]
    for place, head in zip(places, heads, strict=True):
        figure.text(place, lines[0], head, fontsize="small", color=SOFT, ha="right", va="center")
    shared = shared_cuts(list(histograms))
    for y, (drawn, histogram) in zip(lines[1:], histograms.items(), strict=True):
        figure.add_artist(Line2D([left, left + 0.045], [y, y], color=drawn.color, linestyle=drawn.line, linewidth=2, transform=figure.transFigure))
        bad = f", not finite: {histogram.not_finite}" if histogram.not_finite else ""
        figure.text(left + 0.06, y, name_with_cuts(drawn, shared, (NAME if len(heads) > 1 else LONG_NAME) - len(bad)) + bad, fontsize="small", va="center")
        for place, value in zip(places, (f"{histogram.number}", f"{histogram.mean:.4g}", f"{histogram.std:.3g}"), strict=False):
            figure.text(place, y, value, fontsize="small", ha="right", va="center")


def _wrapped(column: Described, samples: Sequence[Drawn]) -> list[str]:
    """The meaning in one or two lines, and the cuts that all samples share."""
    lines = [line.replace("$", r"\$") for line in textwrap.wrap(column.meaning, MEANING, max_lines=2, placeholder=" ...")]
    common = shared_cuts(samples)
    return [*lines, *([shorten(f"cut: {' and '.join(common)}", MEANING)] if common else [])]


def shared_cuts(samples: Sequence[Drawn]) -> list[str]:
    """Cuts of all samples, which need not be told of each."""
    return [cut for cut in samples[0].cuts if all(cut in sample.cuts for sample in samples)]


def name_with_cuts(drawn: Drawn, shared: Sequence[str], length: int) -> str:
    """A sample and its own cuts."""
    own = [cut for cut in drawn.cuts if cut not in shared]
    return shorten(f"{drawn.name} ({' and '.join(own)})" if own else drawn.name, length)


def shorten(text: str, length: int) -> str:
    """At most ``length`` characters; no mathtext."""
    text = text if len(text) <= length else text[: length - 3].rstrip() + "..."
    return text.replace("$", r"\$")


def _set_vertical(axes: Axes, heights: Sequence[Sequence[np.ndarray]], log: Log) -> None:
    """Logarithmic if asked, or if the largest bin would leave nothing to see of many others that are not just chance."""
    height, error = np.concatenate(heights, axis=1)
    filled, known = height[height > 0], height[height > 2 * error]
    if not len(filled):
        return
    highest, lowest = float(filled.max()), float(filled.min())
    if log == "always" or (log == "auto" and len(known) > 0 and highest > DYNAMIC * np.quantile(known, SMALL)):
        axes.set_yscale("log")
        axes.set_ylim(0.4 * lowest, 3 * highest)
        set_log_ticks(axes.yaxis, lowest, highest)
    else:
        axes.set_ylim(0, 1.15 * highest)
        axes.yaxis.set_major_formatter(PlainNumbers())


def _draw_ratios(axes: Axes, frame: Frame, heights: Mapping[Drawn, Sequence[np.ndarray]]) -> None:
    """Points with errors; those outside the axis are triangles at its ends."""
    (first, reference), *others = heights.items()
    centre = np.sqrt(frame.edges[:-1] * frame.edges[1:]) if frame.binning.log else (frame.edges[:-1] + frame.edges[1:]) / 2
    ratios = {drawn: ratio(*height, *reference) for drawn, height in others}
    known = np.concatenate([value[np.isfinite(value) & (error < 0.5 * value)] for value, error in ratios.values()])
    far = float(np.quantile(np.maximum(known, 1 / known), 0.95)) if len(known) else 1.0
    high = min(max(1 + 1.3 * (far - 1), 1.2), MAX_RATIO)
    low = max(2 - high, 0.0)
    axes.axhline(1.0, color=first.color, linewidth=1.2)
    for drawn, (value, error) in ratios.items():
        gap = np.full(len(value), np.nan)
        ends = np.clip([value - error, value + error], low, high)
        # one broken line: errorbar takes ten times longer
        axes.plot(np.stack([centre, centre, gap], 1).ravel(), np.stack([*ends, gap], 1).ravel(), color=drawn.color, linewidth=1.0)
        for marker, there in (("o", (value >= low) & (value <= high)), ("^", value > high), ("v", value < low)):
            height = np.clip(value[there], low + 0.05 * (high - low) * (marker == "v"), high - 0.05 * (high - low) * (marker == "^"))
            axes.plot(centre[there], height, marker, color=drawn.color, markersize=3.0 if marker == "o" else 4.5)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="upper"))
    axes.set_ylabel(f"ratio to {shorten(first.name, 12)}", fontsize="small")
