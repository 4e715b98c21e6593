"""Make `golden_event.json` again: `python tests/contract/make_golden_event.py`. A change of it is a change of the contract, so it wants a reason.

The event is simulated ttbar of 161 elements (one of `mlpf.export.events`), some of them edited, so that all types of elements occur.
Its outputs are drawn at random: as good as a model's for what the consumer makes of them, and all classes occur on all types.
"""

import json
from pathlib import Path

import numpy as np

from mlpf.export.consumer import decode
from mlpf.export.events import contract_events
from mlpf.schema import FEATURE_INDEX, ElementType

GOLDEN = Path(__file__).with_name("golden_event.json")


def main():
    rng = np.random.default_rng(2026)
    features = next(event for event in contract_events() if len(event) == 161)
    edited = np.flatnonzero(features[:, FEATURE_INDEX["type"]] == ElementType.ECAL)[:4]
    features[edited, FEATURE_INDEX["type"]] = [ElementType.GSF, ElementType.GSF, ElementType.SC, ElementType.HO]
    features[edited, FEATURE_INDEX["charge"]] = [1, -1, 0, 0]
    tracks = np.flatnonzero(features[:, FEATURE_INDEX["type"]] == ElementType.TRACK)
    features[tracks[::2], FEATURE_INDEX["muon_type"]] = 14
    angle = rng.uniform(-np.pi, np.pi, len(features))
    momentum = np.stack([rng.normal(0, 0.2, len(angle)), rng.normal(0, 2, len(angle)), np.sin(angle), np.cos(angle), rng.normal(0, 0.2, len(angle))], axis=1)
    outputs = {"binary": rng.normal(size=(len(angle), 2)), "pid": rng.normal(size=(len(angle), 9)), "momentum": momentum}
    outputs["binary"][edited] = [0.0, 1.0]
    outputs["pid"][edited[:2], 6] = 9.0  # electrons of both charges
    golden = {"features": _short(features), **{name: _short(values) for name, values in outputs.items()}}
    golden["candidates"] = [
        [*candidate[:3], *(float(f"{x:.8g}") for x in candidate[3:])] for candidate in decode(golden["features"], *(golden[name] for name in outputs))
    ]
    tables = [json.dumps(name) + ": [\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]" for name, rows in golden.items()]
    GOLDEN.write_text("{\n" + ",\n".join(tables) + "\n}\n")


def _short(values):
    """float32 values, in as few digits as give them back."""
    return [[float(str(x)) for x in row] for row in np.asarray(values, dtype=np.float32)]


if __name__ == "__main__":
    main()
