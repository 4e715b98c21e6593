#!/usr/bin/env python
"""Check that several files hold the same candidates: `compare_candidates.py REFERENCE OTHER...` (.parquet or .root).

Events are paired by (run, lumi, event); the reference may hold a part of the others' events. Exit status 1 where they differ.
"""

import sys
from pathlib import Path

from mlpf.candidates import compare_candidates
from mlpf.errors import MlpfError
from mlpf.io.candidates import read_candidates


def main() -> int:
    paths = [Path(argument) for argument in sys.argv[1:]]
    if len(paths) < 2:
        sys.exit(__doc__)
    try:
        reference, *others = (read_candidates(path) for path in paths)
    except MlpfError as error:
        sys.exit(f"error: {error}")
    agree = True
    for other in others:
        result = compare_candidates(reference, other)
        agree &= result.agree
        print(f"{other.source} and {reference.source} {result}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
