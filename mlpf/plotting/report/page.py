"""The page as HTML."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mlpf.io.files import write_text
from mlpf.plotting.report.content import Figure, Results, dataset_content, models_content
from mlpf.plotting.report.svg import color_on_dark, inline_svg
from mlpf.plotting.report.symbols import colors_of, swatch
from mlpf.plotting.report.tables import latex_text
from mlpf.plotting.summary import CAPTIONS, POINTS, look_of_systems

MAX_PDF_BYTES = 3_000_000  # of all figures together; a larger page is hard to send


def write_report(
    path: str | Path,
    metrics: Results,
    performance: Results,
    plots: str | Path,
    figures: Mapping[str, Sequence[str]],
    reference: str | None = None,
) -> None:
    """Write the page.

    Args:
        path: where to.
        metrics: content of `metrics.json`.
        performance: content of `performance.json`.
        plots: folder with ``DATASET/FIGURE.svg`` and, for the page to offer it, ``DATASET/FIGURE.pdf``.
        figures: names of the figures to show of each dataset.
        reference: system that the others are compared with first; default: `mlpf.plotting.summary.default_reference`.
    """
    plots, entries = Path(plots), metrics["datasets"]
    models = list(dict.fromkeys(model for entry in entries.values() for model in entry["models"]))
    systems = {key: title for entry in entries.values() for key, title in entry["systems"].items()}
    looks = look_of_systems(systems, models)
    inline = {
        (dataset, name): inline_svg((plots / dataset / f"{name}.svg").read_text(encoding="utf-8"), f"d{number}-{name}-", _caption(name))
        for number, dataset in enumerate(entries)
        for name in figures.get(dataset, ())
    }
    pdf = _documents(plots, list(inline))
    datasets = []
    for dataset, entry in entries.items():
        drawn = {name: Figure(name, _caption(name), Markup(figure.markup), pdf.get((of, name), "")) for (of, name), figure in inline.items() if of == dataset}
        datasets.append(dataset_content(dataset, entry, (performance.get("classification") or {}).get(dataset, {}), drawn, looks, reference))
    page = _environment().get_template("page.html.j2")
    colors = set().union(colors_of(looks), *(figure.colors for figure in inline.values()))
    write_text(
        path,
        page.render(
            title=f"{' and '.join(models)} on {' and '.join(entries)}",
            datasets=datasets,
            models=models_content(metrics),
            definitions={**metrics.get("definitions", {}), **performance.get("definitions", {})},
            systems={key: (title, swatch(looks[key])) for key, title in systems.items()},
            swatches={key: swatch(look) for key, look in looks.items()},
            colors={color: color_on_dark(color) for color in sorted(colors)},
            points=POINTS,
            **_own_files(),
        ),
    )


def _caption(figure: str) -> str:
    return CAPTIONS.get(figure, figure.replace("_", " "))


def _documents(plots: Path, figures: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Base64 of the figures' PDF files, if together they are small enough for a page that is sent by mail."""
    paths = {(dataset, name): path for dataset, name in figures if (path := plots / dataset / f"{name}.pdf").is_file()}
    if sum(path.stat().st_size for path in paths.values()) > MAX_PDF_BYTES:
        return {}
    return {key: base64.b64encode(path.read_bytes()).decode() for key, path in paths.items()}


def _own_files() -> dict[str, str]:
    """Style and script of the page; it allows no script but the one with this digest."""
    styles, script = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return {
        "styles": Markup(styles),
        "script": Markup(script),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlpf.plotting.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"physics": _physics, "latex": latex_text}
    return environment


def _physics(words: str) -> Markup:
    """Symbols of quantities as they are written: pT, px, HT with their index; ranges on one line."""
    symbols = re.sub(r"\b([pH])([Txy])\b", r"<i>\1</i><sub>\2</sub>", str(escape(words)))
    return Markup(re.sub(r"\d[\d.]*–\d[\d.]*(?: GeV)?", r"<span class='range'>\g<0></span>", symbols))
