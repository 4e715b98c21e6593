#!/usr/bin/env bash
# What crab_ntuples.py runs on the grid: CRAB gives the number of the job, then the arguments of scriptArgs. The CMSSW environment is set up already.
set -euo pipefail
job="$1"
shift
for argument in "$@"; do
  case "$argument" in
    first_seed=*) first_seed="${argument#*=}" ;;
    events=*) events="${argument#*=}" ;;
    *) echo "unknown argument $argument" >&2; exit 2 ;;
  esac
done
bash ntuple_chain.sh "$((first_seed + job - 1))" "$events" .
