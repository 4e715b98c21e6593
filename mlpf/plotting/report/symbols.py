"""Small drawings beside words: how a system looks in the figures, and numbers with intervals on one scale."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import MaxNLocator

from mlpf.plotting.report.estimates import Estimate
from mlpf.plotting.summary.systems import Look

_ROW, _WIDTH, _MARGIN, _RADIUS = 26, 220, 18, 4.5  # pixels
_SAMPLE = 26  # width of the line beside a name


def swatch(look: Look) -> Markup:
    """Line and marker of a system, as in the legends of the figures."""
    color, dashes = _color(look), f" stroke-dasharray='{_dashes(look)}'" if _dashes(look) else ""
    return Markup(
        f"<svg class='swatch' viewBox='0 0 {_SAMPLE} 12' width='{_SAMPLE}' height='12' aria-hidden='true' style='stroke:{color};fill:{color}'>"
        f"<path d='M0 6H{_SAMPLE}' stroke-width='1.5'{dashes}/><path d='{_marker(look, _SAMPLE / 2, 6)}'/></svg>"
    )


def intervals(estimates: Sequence[tuple[Estimate, Look]], label: str) -> Markup:
    """Values with their intervals below each other, on one axis.

    Args:
        estimates: all with an interval, and how each looks.
        label: what it shows, for those who do not see it.
    """
    low, high = min(e["low"] for e, _ in estimates), max(e["high"] for e, _ in estimates)
    ticks = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high if high > low else low + 1)
    start, stop = ticks[0], ticks[-1]

    def place(value: float) -> float:
        return round(float(_MARGIN + (value - start) / (stop - start) * (_WIDTH - 2 * _MARGIN)), 1)

    bottom = _ROW * len(estimates)
    parts = [f"<path class='grid' d='{''.join(f'M{place(tick)} 0V{bottom}' for tick in ticks)}'/>"]
    parts += [f"<text x='{place(tick)}' y='{bottom + 15}' text-anchor='middle'>{tick:.6g}</text>" for tick in ticks]
    for i, (estimate, look) in enumerate(estimates):
        y, color = _ROW * (i + 0.5), _color(look)
        parts.append(
            f"<g style='stroke:{color};fill:{color}'><path d='M{place(estimate['low'])} {y}H{place(estimate['high'])}' stroke-width='2'/>"
            f"<path d='{_marker(look, place(estimate['value']), y)}'/></g>"
        )
    head = Markup("<svg class='intervals' viewBox='0 0 {} {}' width='{}' role='img' aria-label='{}'>").format(_WIDTH, bottom + 20, _WIDTH, label)
    return head + Markup("".join(parts) + "</svg>")


def _color(look: Look) -> str:
    return f"var(--c{look.color.removeprefix('#')})"


def _marker(look: Look, x: float, y: float) -> str:
    """Path of the marker around a place."""
    style = MarkerStyle(look.marker)
    path = style.get_path().transformed(style.get_transform())
    scale = _RADIUS / np.abs(path.vertices).max()
    pieces = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        pairs = " ".join(f"{x + scale * px:.1f} {y - scale * py:.1f}" for px, py in points.reshape(-1, 2))
        pieces.append({1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}[int(code)] + ("" if code == 79 else pairs))
    return "".join(pieces)


def _dashes(look: Look) -> str:
    return "" if isinstance(look.line, str) else " ".join(f"{1.5 * length:g}" for length in look.line[1])


def colors_of(looks: Mapping[str, Look]) -> set[str]:
    """``rrggbb`` of all of them."""
    return {look.color.removeprefix("#") for look in looks.values()}
