#!/usr/bin/env python
"""Simulate the events that every export is checked on: `python scripts/make_contract_events.py [OUTPUT.npz]`. Needs Pythia 8, takes a minute."""

import sys
from pathlib import Path

from mlpf.config import load_parameters, parse_section
from mlpf.export.events import CONTRACT_EVENTS, write_events
from mlpf.io.files import atomic_file
from mlpf.producer.producer import consumer_input
from mlpf.simulation.config import SimulationConfig
from mlpf.simulation.simulate import simulate

ROOT = Path(__file__).parents[1]
SEED = 1
# Parameter file, changes to it, numbers of the events: sizes from one element to what a crowded crossing has, all types and classes.
SAMPLES = (
    ("simulate_gun.yaml", ["simulation.gun.number=2", "simulation.gun.particle=[pi,gamma,e,mu]"], (9, 5, 0)),  # 1, 3 and 8 elements
    ("simulate_gun.yaml", [], (6,)),
    ("simulate_multigun.yaml", [], (0, 7)),
    ("simulate_ttbar.yaml", [], (89, 48, 1, 45, 51)),
    ("simulate_ttbar_pileup.yaml", ["simulation.pileup.min_number=75", "simulation.pileup.max_number=85"], (0, 1)),
)


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else CONTRACT_EVENTS
    events = []
    for name, changes, numbers in SAMPLES:
        path = ROOT / "parameters" / name
        config = parse_section(load_parameters(path, changes), "simulation", SimulationConfig, path)
        made = [consumer_input(chunk).features for number in numbers for chunk in simulate(config, 1, SEED, number)]
        print(f"{name} {' '.join(changes)}: {', '.join(str(len(features)) for features in made)} elements", flush=True)
        events += made
    events.sort(key=len)
    with atomic_file(output) as temporary:
        write_events(temporary, events)
    print(f"wrote {output} ({output.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
