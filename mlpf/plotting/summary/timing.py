"""Figure of how long models take."""

import numpy as np
from matplotlib.figure import Figure

from mlpf.plotting.summary.content import Summary, has_values, pick
from mlpf.plotting.summary.marks import draw_points
from mlpf.plotting.summary.panels import Size, new_panels, title


def draw_timing(summary: Summary) -> Figure | None:
    """Median time of an event against its number of elements."""
    timing = {model: content["milliseconds_per_event"] for model, content in summary.section("timing").items()}
    timing = {model: times for model, times in timing.items() if has_values(pick({model: times}, "median"))}
    if not timing:
        return None
    figure, (((panel,),),) = new_panels(summary, [[2.6]], timing, size=Size(4.6))
    edges = []
    for model, times in timing.items():
        own = np.array(times["elements"], dtype=np.float64)
        draw_points(panel, summary, own, {model: times["median"]})
        filled = np.flatnonzero([estimate["value"] is not None for estimate in times["median"]])
        edges += [own[filled[0]], own[filled[-1] + 1]]
    panel.axes.set_xlim(min(edges), max(edges))
    panel.axes.set_ylim(bottom=0)
    panel.axes.set_xlabel("elements in the event")
    panel.axes.set_ylabel("median time per event [ms]")
    used = {(summary.entry["timing"][model]["device"], summary.entry["timing"][model]["threads"]) for model in timing}
    if len(used) == 1:
        ((device, threads),) = used
        title(panel.axes, f"{device}, {threads} thread{'' if threads == 1 else 's'}")
    return figure
