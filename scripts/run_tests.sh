#!/usr/bin/env bash
# Style, types and tests, with all set-up. Arguments go to pytest: `./scripts/run_tests.sh -m slow` runs the long tests, `-k NAME` a choice.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
scripts/onnxruntimes.sh
scripts/onnxruntime_headers.sh

echo "== ruff"
ruff check .
ruff format --check .
echo "== mypy"
mypy
echo "== pytest"
# Two workers with one thread each: the tests are many and small. A file stays with one worker, so that what its tests share is made once.
export OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1
exec python -m pytest -n "${MLPF_TEST_WORKERS:-2}" --dist loadfile -m "not slow" "$@" # of several -m the last counts
