#!/usr/bin/env bash
# Many ntuples -> one dataset, on one machine. Run again, it does only what is missing.
# Usage: postprocess_job.sh LIST OUTPUT JOBS [OPTION...]
#   LIST    file with one ntuple a line, on a file system that this machine sees
#   OPTION  further options of mlpf postprocess
# Environment: MLPF_VENV, the virtual environment with mlpf; without it mlpf must be on the PATH.
set -euo pipefail
[[ $# -ge 3 ]] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
list="$1" output="$2" jobs="$3"
shift 3
# shellcheck source=/dev/null
[[ -z "${MLPF_VENV:-}" ]] || source "$MLPF_VENV/bin/activate"
mapfile -t files < "$list"
exec mlpf postprocess "${files[@]}" --output "$output" --jobs "$jobs" --skip-bad "$@"
