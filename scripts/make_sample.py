#!/usr/bin/env python
"""Make the sample in data/ again and describe it in data/manifest.json: `python scripts/make_sample.py [OUTPUT_FOLDER]`."""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import uproot

from mlpf import schema
from mlpf.io.files import sha256, write_text
from mlpf.io.ntuple import read_ntuple, write_ntuple

ROOT = Path(__file__).parents[1]
NAME = "ttbar.root"
COMMAND = "mlpf simulate -p parameters/simulate_ttbar.yaml --events 105 --seed 2026 --output"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "data").resolve()
    path = folder / NAME
    with tempfile.TemporaryDirectory() as temporary:
        simulated = Path(temporary) / NAME
        subprocess.run([*COMMAND.split(), str(simulated)], check=True, cwd=ROOT)
        events = read_ntuple(simulated)
    write_ntuple(path, [events], compression=uproot.LZMA(6))  # slow to write, but the smallest in a repository
    types = np.bincount(events["element_type"], minlength=schema.NUM_ELEMENT_TYPES)
    description = {
        "file": NAME,
        "origin": f"{COMMAND} data/{NAME}",
        "made_with": {name: version(name) for name in ("mlpf", "pythia8mc", "numba", "numpy")},
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "num_events": len(events),
        "num_elements": {schema.ElementType(kind).name: int(count) for kind, count in enumerate(types) if count},
        "num_entries": {name: events.size(name) for name in events.offsets},
    }
    write_text(folder / "manifest.json", json.dumps({"files": [description]}, indent=2) + "\n")
    print(f"wrote {folder / 'manifest.json'}")


if __name__ == "__main__":
    main()
