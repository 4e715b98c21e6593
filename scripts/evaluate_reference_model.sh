#!/usr/bin/env bash
# What a model does better than rule-based particle flow on simulated events that the reference model has not seen, and where it does not.
# Usage: ./scripts/evaluate_reference_model.sh MODEL [DOCUMENT]   (half an hour on two cores)
# Prints the verdict, fills in the document's tables if there is one; report, figures and numbers go to output/reference/evaluation.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/reference_samples.sh
if [ $# -eq 0 ] || [ ! -e "$1" ]; then echo "error: ${1:-no model given}: no such model; paths are relative to $PWD" >&2; exit 2; fi

heldout_samples
python scripts/measure_physics.py "$1" output/reference/heldout/{ttbar,qcd,ztautau,ttbar_pileup} --output output/reference/evaluation ${2:+--document "$2"}
