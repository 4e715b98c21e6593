#!/usr/bin/env bash
# What make_reference_model.sh made and evaluate_reference_model.sh judged (output/reference/export/reference.onnx) becomes data/reference.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
made=output/reference
next=data/reference.partial

rm -rf "$next"
mkdir -p "$next"
mlpf export "$made/run" --output "$next/reference.onnx" --target cmssw --metrics "$made/evaluation"
cmp "$next/reference.onnx" "$made/export/reference.onnx"  # the very file that was evaluated
cp "$made"/run/{model.safetensors,model.json,parameters.yaml,environment.json,metrics.csv} "$made/evaluation/report.html" "$next"
rm -rf data/reference
mv "$next" data/reference
