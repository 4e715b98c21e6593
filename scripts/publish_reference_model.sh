#!/usr/bin/env bash
# What scripts/make_reference_model.sh made and scripts/evaluate_reference_model.sh judged becomes data/reference.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
made=output/reference
final=data/reference

rm -rf "$final"
mkdir -p "$final"
cp "$made"/run/{model.safetensors,model.json,parameters.yaml,datasets.json,environment.json,metrics.csv} "$final"
mlpf export "$final" --output "$final/reference.onnx" --target cmssw --metrics "$made/evaluation"  # the card says that this very file was evaluated
cp "$made/evaluation/report.html" "$final"
