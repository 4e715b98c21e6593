"""What stands beside the figures: the counts as JSON, and what the page tells."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlpf.io.files import write_text
from mlpf.plotting.columns.binning import Binning
from mlpf.plotting.columns.config import PlotConfig
from mlpf.plotting.columns.counting import Counted
from mlpf.plotting.columns.drawing import DrawTask
from mlpf.plotting.columns.figures import Described
from mlpf.plotting.columns.gallery import Entry
from mlpf.plotting.columns.samples import Sample

HISTOGRAMS = "histograms.json"


def write_json(
    folder: Path, samples: Sequence[Sample], counted: Sequence[Counted], described: dict[str, Described], binnings: dict[str, Binning], config: PlotConfig
) -> None:
    """Counts of all samples; those of equal bins can be added up."""

    def of_column(name: str) -> dict[str, Any]:
        binning, column = binnings[name], described[name]
        content: dict[str, Any] = {"unit": column.unit, "meaning": column.meaning, "log": binning.log, "edges": binning.edges.tolist()}
        if binning.categories is not None:
            content["categories"] = {str(value): text for value, text in binning.categories.items()}
        return content | {
            "samples": {sample.name: of.columns[name].to_json(sample.weighted) for sample, of in zip(samples, counted, strict=True) if name in of.columns}
        }

    pairs = dict.fromkeys(pair for result in counted for pair in result.pairs)
    content = {
        "samples": [
            {"name": sample.name, "files": list(map(str, sample.paths)), "cuts": sample.cuts, "events": result.num_events, "selected": result.num_selected}
            | ({"weight_selected": result.weight_selected} if sample.weighted else {})
            for sample, result in zip(samples, counted, strict=True)
        ],
        "normalise": config.normalise,
        "columns": {name: of_column(name) for name in binnings},
        "pairs": [
            {
                "x": x,
                "y": y,
                "samples": {sample.name: of.pairs[x, y].to_json(sample.weighted) for sample, of in zip(samples, counted, strict=True) if (x, y) in of.pairs},
            }
            for x, y in pairs
        ],
    }
    write_text(folder / HISTOGRAMS, json.dumps(content) + "\n")


def gallery_entries(tasks: Sequence[DrawTask]) -> list[Entry]:
    """Figures on the page."""
    return [
        Entry(
            task.columns[0].group if len(task.columns) == 1 else "pairs",
            task.image,
            task.file,
            " ".join((task.stem, *(column.meaning for column in task.columns))),
            len(task.columns) > 1 and len(task.counted) > 1,
        )
        for task in tasks
    ]


def about_samples(samples: Sequence[Sample], counted: Sequence[Counted]) -> list[dict[str, str]]:
    """The table of samples."""
    return [
        {
            "sample": sample.name,
            "files": ", ".join(map(str, sample.paths)),
            "cuts": " and ".join(sample.cuts) or "none",
            "events": f"{result.num_events}"
            + (f", {result.num_selected} pass" if result.num_selected < result.num_events else "")
            + (f", weight {result.weight_selected:.6g}" if sample.weighted else ""),
        }
        for sample, result in zip(samples, counted, strict=True)
    ]


def notes(empty: Sequence[str], not_finite: Mapping[str, int], config: PlotConfig) -> list[str]:
    """How to read the figures, and what is missing."""
    per = {"entries": "Shares of all finite entries of a sample.", "events": "Entries per event that passed.", "no": "Numbers of entries."}[config.normalise]
    weights, error = (" All weighted by the weights of events.", "sqrt(sum of squared weights)") if config.weighted else ("", "sqrt(N)")
    lines = [
        f"{per}{weights} Shaded bins at the ends hold all entries outside the range. Errors are {error}; entries of one event are not independent of "
        "each other, so that the true errors are larger where an event has many."
    ]
    if empty:
        lines.append(f"Without entries: {', '.join(empty)}.")
    if not_finite:
        lines.append(f"Not finite, and left out: {', '.join(f'{name} {number}' for name, number in not_finite.items())}.")
    return lines
