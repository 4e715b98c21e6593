#!/usr/bin/env python
"""Measure the simulated detector, and rule-based particle flow on it: fills in docs/simulation.md, draws its figures, writes docs/validation.json.

`python scripts/validate_simulation.py --jobs 2` takes a quarter of an hour; with `--quick`, a smoke test, two minutes. Needs Pythia 8.
"""

import argparse
import sys
import time
from pathlib import Path

from mlpf.errors import MlpfError
from mlpf.evaluation.detector.document import DOCUMENT, write
from mlpf.evaluation.detector.validation import QUICK, SEED, validate

ROOT = Path(__file__).parents[1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:g} of the events; writes to output/validation instead of docs")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of all that is random (default: {SEED})")
    parser.add_argument("--output", type=Path, help=f"folder of {DOCUMENT} (default: docs)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    output = options.output or ROOT / ("output/validation" if options.quick else "docs")
    start = time.perf_counter()

    def report(sample: str, number: int) -> None:
        print(f"{time.perf_counter() - start:6.0f} s  {number:6} events of {sample}", flush=True)

    try:
        results = validate(QUICK if options.quick else 1.0, options.seed, options.jobs, report)
        write(results, output)
    except MlpfError as error:
        sys.exit(f"error: {error}")
    outside = [check for check in results["checks"] if not check["inside"]]
    for check in outside:
        print(f"outside: {check['topic']}: {check['quantity']} {check['where']}: {check['measured']['value']:.4g}, tolerated {check['tolerated']}")
    print(f"{output / DOCUMENT}: {len(results['checks'])} numbers, {len(outside)} outside what is tolerated, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
