"""Figures of `metrics.json` and `performance.json`: several systems side by side, one subject per file."""

from mlpf.plotting.summary.confusion import draw_confusion
from mlpf.plotting.summary.content import Summary, columns
from mlpf.plotting.summary.figures import CAPTIONS, POINTS, draw_summary
from mlpf.plotting.summary.particles import draw_efficiency
from mlpf.plotting.summary.systems import default_reference, look_of_systems

__all__ = ["CAPTIONS", "POINTS", "Summary", "columns", "default_reference", "draw_confusion", "draw_efficiency", "draw_summary", "look_of_systems"]
