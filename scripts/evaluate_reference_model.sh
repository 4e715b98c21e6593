#!/usr/bin/env bash
# What the reference model, or any other, does better than rule-based particle flow on events that it has not seen, and where it does not.
# Usage: ./scripts/evaluate_reference_model.sh [MODEL] [JOBS]   (default: data/reference/reference.onnx, 2 processes to simulate; half an hour on two cores)
# Prints the verdict; tables, figures and report go to output/reference/evaluation. The reference model's also go to docs/physics.md.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/reference_samples.sh
reference=data/reference/reference.onnx
model="${1:-$reference}"
jobs="${2:-2}"
mkdir -p output/reference/heldout

heldout_samples
document=()
if [ "$model" = "$reference" ]; then document=(--document docs/physics.md); fi
python scripts/measure_physics.py "$model" output/reference/heldout/{ttbar,qcd,ztautau,ttbar_pileup} --output output/reference/evaluation "${document[@]}"
