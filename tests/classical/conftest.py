"""Hand-made and random events of PF elements."""

from collections.abc import Callable

import numpy as np
import pytest

from mlpf.classical.elements import COLUMNS
from mlpf.events import Events, offsets_from_counts
from mlpf.schema import ElementType

ROWS = list[dict[str, float]]
NAMES = [name.removeprefix("element_") for name in COLUMNS]


def events_of(*rows_of_event: ROWS) -> Events:
    """Events from one dictionary per element, keys without ``element_``; what is not given is 0."""
    unknown = {key for rows in rows_of_event for row in rows for key in row} - set(NAMES)
    assert not unknown, f"unknown element columns {unknown}"
    flat = [row for rows in rows_of_event for row in rows]
    columns = {f"element_{name}": np.array([row.get(name, 0.0) for row in flat]) for name in NAMES}
    return Events(columns, {"element": offsets_from_counts(np.array([len(rows) for rows in rows_of_event], dtype=np.int64))}, len(rows_of_event))


def random_rows(rng: np.random.Generator, number: int) -> ROWS:
    """Elements of all types, scattered around four directions (one of them at phi = pi), so that many pairs nearly touch."""
    centres = np.array([[1.0, np.pi], [-2.1, -3.1], [2.7, 0.4], [rng.uniform(-4.5, 4.5), 2.0]])
    rows = []
    for _ in range(number):
        kind = ElementType(rng.integers(1, 12))
        eta, phi = centres[rng.integers(len(centres))] + rng.normal(0, rng.choice([0.002, 0.03, 0.1]), 2)
        energy = float(rng.lognormal(1.0, 1.0))
        row: dict[str, float] = {"type": kind, "eta": eta, "phi": (phi + np.pi) % (2 * np.pi) - np.pi, "pt": energy / np.cosh(eta), "energy": energy}
        if kind in (ElementType.TRACK, ElementType.GSF, ElementType.BREM):
            row |= {"charge": rng.choice([-1, 1]), "pterror": 0.02 * row["pt"]}
        if kind in (ElementType.TRACK, ElementType.GSF) and rng.random() < 0.9:
            row |= {f"{name}_{surface}": row[name] + rng.normal(0, 0.02) for name in ("eta", "phi") for surface in ("ecal", "hcal")}
        if kind == ElementType.BREM:
            row["trajpoint"] = rng.integers(0, 18)
        if kind == ElementType.GSF:
            row["num_hits"] = rng.choice([0, 1, 8, 16])
        if kind not in (ElementType.TRACK, ElementType.GSF, ElementType.BREM):
            row |= {"num_hits": rng.integers(0, 9), "etaerror": rng.choice([0.0, 0.02]), "phierror": rng.choice([0.0, 0.03])}
        rows.append(row)
    return rows


@pytest.fixture(scope="session")
def make_events() -> Callable[..., Events]:
    return events_of


@pytest.fixture(scope="session")
def make_rows() -> Callable[[np.random.Generator, int], ROWS]:
    return random_rows


@pytest.fixture
def random_events() -> Events:
    """Twenty events of up to 120 elements, the first and one other empty."""
    rng = np.random.default_rng(7)
    return events_of([], *(random_rows(rng, int(rng.integers(1, 120))) for _ in range(12)), [], *(random_rows(rng, 60) for _ in range(6)))
