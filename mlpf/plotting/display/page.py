"""The page itself: one HTML file with plotly.js, the event's columns as binary arrays, and the scripts of `assets` that draw them."""

import base64
import html
import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mlpf import schema
from mlpf.io.files import write_text
from mlpf.plotting.display.event import ELEMENT, Display, LinkKind
from mlpf.plotting.display.facts import Facts, system_facts
from mlpf.plotting.display.layers import Layer, make_layers
from mlpf.plotting.display.names import LAYERS, candidate_name, particle_name
from mlpf.plotting.display.objects import Objects
from mlpf.plotting.looks import JET_RADIUS, MIN_JET_PT
from mlpf.schema import ElementType
from mlpf.simulation.propagation import ECAL_BARREL_ETA, ECAL_RADIUS, ECAL_Z, HCAL_BARREL_ETA, HCAL_RADIUS, HCAL_Z, HF_Z, MAX_CENTRAL_ETA, MAX_HF_ETA

SUFFIX = ".html"
TRACKER_RADIUS, TRACKER_Z = 116.0, 282.0  # cm, outermost measuring layers (CMS TDR 8.1)
SCRIPTS = ("data.js", "format.js", "geometry.js", "space.js", "plane.js", "panel.js", "main.js")  # in this order


def write_page(display: Display, path: str | Path, source: str, min_pt: float = 0.5) -> None:
    """Write an event as one page that needs nothing else.

    Args:
        display: the event.
        path: of the page.
        source: which file and event it is, for people.
        min_pt: objects below are hidden until the reader moves the slider [GeV].
    """
    data = json.dumps(page_data(display, source, min_pt), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    parts = {
        "TITLE": html.escape(f"{_identity(display)} – mlpf"),
        "STYLE": _asset("page.css"),
        "PLOTLY": (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8"),
        "DATA": data.replace("<", "\\u003c"),  # no name of a file ends the script
        "SCRIPT": "".join(_asset(name) for name in SCRIPTS),
    }
    page = _asset("page.html")
    for name, text in parts.items():
        head, _, tail = page.partition(f"{{{{{name}}}}}")
        page = f"{head}{text}{tail}"
    write_text(path, page)


def _asset(name: str) -> str:
    return (resources.files("mlpf.plotting.display") / "assets" / name).read_text(encoding="utf-8")


def page_data(display: Display, source: str, min_pt: float = 0.5) -> dict[str, Any]:
    """What the page knows of the event, ready for JSON; arrays as plotly writes them, too: ``{"dtype": "f4" | "i4", "bdata": base64}``, little-endian."""
    layers = make_layers(display)
    return {
        "title": _identity(display),
        "source": source,
        "min_pt": min_pt,
        "facts": [_fact(fact) for fact in system_facts(display)],
        "num_undrawn": {display.titles[key]: count for key, count in display.num_undrawn.items()},
        "names": _names(display),
        "objects": {key: _objects(objects, display.titles[key]) for key, objects in display.objects.items()},
        "layers": [_layer(layer) for layer in layers],
        "links": [_links(kind) for kind in display.links],
        "jets": {"radius": JET_RADIUS, "min_pt": MIN_JET_PT},
        "detector": _detector(),
    }


def _identity(display: Display) -> str:
    return ", ".join(f"{name} {int(display.event[name][0])}" for name in schema.IDENTITY)


def array(values: np.ndarray) -> dict[str, str]:
    """A column of float32 or int32 in base64; what is bigger is cut down to these."""
    kind = "f4" if values.dtype.kind == "f" else "i4"
    with np.errstate(over="ignore"):
        return {"dtype": kind, "bdata": base64.b64encode(np.ascontiguousarray(values, dtype=f"<{kind}").tobytes()).decode()}


def _objects(objects: Objects, title: str) -> dict[str, Any]:
    positions = np.where(objects.drawable[:, None], objects.positions, np.nan)
    return {
        "title": title,
        "columns": {name: array(values) for name, values in objects.columns.items()},
        "position": array(positions),
        "path": array(objects.paths.points),
        "path_offsets": array(objects.paths.offsets),
    }


def _layer(layer: Layer) -> dict[str, Any]:
    return {**layer._asdict(), "rows": array(layer.rows), "look": layer.look._asdict()}


def _links(kind: LinkKind) -> dict[str, Any]:
    arrays = {name: array(values) for name, values in kind.links._asdict().items()}
    return {"title": kind.title, "from": kind.first, "to": kind.second, "unit": kind.weight, **arrays}


def _fact(facts: Facts) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in facts._asdict().items()}


def _names(display: Display) -> dict[str, dict[int, str]]:
    """Names of all the codes that the event has."""
    codes: dict[str, set[int]] = {"truth": set(), "candidate": set()}
    for key in display.systems:
        codes["truth" if key == "truth" else "candidate"] |= set(np.unique(display.objects[key].columns["pdgid"]).tolist())
    names = {kind: {code: (particle_name if kind == "truth" else candidate_name)(code) for code in sorted(found)} for kind, found in codes.items()}
    if ELEMENT in display.objects:
        names["type"] = {int(kind): kind.name for kind in ElementType}
        names["layer"] = LAYERS
    return names


def _detector() -> dict[str, Any]:
    """Surfaces of the detector [cm]: barrels with a radius and half a length, endcaps with an inner and an outer radius, and z."""
    ecal_outer, hcal_outer = ECAL_Z / math.sinh(ECAL_BARREL_ETA), HCAL_Z / math.sinh(HCAL_BARREL_ETA)
    inner = 1.0 / math.sinh(MAX_CENTRAL_ETA)
    return {
        "barrels": [
            {"name": "tracker", "radius": TRACKER_RADIUS, "half_length": TRACKER_Z},
            {"name": "ECAL", "radius": ECAL_RADIUS, "half_length": ECAL_RADIUS * math.sinh(ECAL_BARREL_ETA)},
            {"name": "HCAL", "radius": HCAL_RADIUS, "half_length": HCAL_RADIUS * math.sinh(HCAL_BARREL_ETA)},
        ],
        "endcaps": [
            {"name": "ECAL", "inner": ECAL_Z * inner, "outer": ecal_outer, "z": ECAL_Z},
            {"name": "HCAL", "inner": HCAL_Z * inner, "outer": hcal_outer, "z": HCAL_Z},
            {"name": "HF", "inner": HF_Z / math.sinh(MAX_HF_ETA), "outer": HF_Z * inner, "z": HF_Z},
        ],
        "eta_edges": {"barrel": ECAL_BARREL_ETA, "HF": MAX_CENTRAL_ETA},
    }
