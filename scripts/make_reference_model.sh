#!/usr/bin/env bash
# A model for data/reference, from nothing: samples, mixture, training, ONNX, all in output/reference. About two hours on two cores.
# What is there already is not made again; an interrupted training goes on. Then: ./scripts/evaluate_reference_model.sh and ./scripts/publish_reference_model.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/reference_samples.sh
out=output/reference

training_samples
if [ ! -e "$out/mixture/manifest.json" ]; then
  mlpf mix -p parameters/reference_mix.yaml --output "$out/mixture" --jobs "$jobs"
fi
mlpf validate "$out/mixture" --output "$out/validation" --strict --overwrite
if [ -e "$out/run.partial/checkpoints/last.ckpt" ]; then
  mlpf train --resume "$out/run"
elif [ ! -e "$out/run" ]; then
  mlpf train -p parameters/reference.yaml --output "$out/run" --overwrite
fi
mkdir -p "$out/export"
mlpf export "$out/run" --output "$out/export/reference.onnx" --target cmssw
