#!/usr/bin/env bash
# The model of data/reference, made again from nothing: samples, mixture, training, ONNX. What is there already is not made again, an interrupted training goes on.
# Usage: ./scripts/make_reference_model.sh [JOBS]   (default: 2 processes; two hours and 4 GB of disk on two cores; everything goes to output/reference)
# ./scripts/evaluate_reference_model.sh judges what comes out.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/reference_samples.sh
jobs="${1:-2}"
out=output/reference
mkdir -p "$out"

training_samples
if [ ! -e "$out/mixture/manifest.json" ]; then
  mlpf mix -p parameters/reference_mix.yaml --output "$out/mixture" --jobs "$jobs"
fi
mlpf validate "$out/mixture" --output "$out/validation" --strict --overwrite
if [ -e "$out/run.partial" ]; then
  mlpf train --resume "$out/run"
elif [ ! -e "$out/run" ]; then
  mlpf train -p parameters/reference.yaml --output "$out/run"
fi
mkdir -p "$out/export"
mlpf export "$out/run" --output "$out/export/reference.onnx" --target cmssw
echo "$out/run and $out/export: the model; ./scripts/evaluate_reference_model.sh $out/export/reference.onnx judges it"
