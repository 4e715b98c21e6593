#!/usr/bin/env bash
# The main job, end to end on the sample in data/: dataset -> training -> evaluation -> ONNX -> candidates, with all set-up.
# Usage: ./scripts/local_test.sh [OUTPUT_FOLDER]   (default: output/local_test; a former run there is replaced)
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

out="${1:-output/local_test}"
sample=data/ttbar.root
parameters=parameters/tiny.yaml
mkdir -p "$out"
summary=()

stage() {  # stage NAME COMMAND...: run, time and remember one stage
  local name="$1" start=$SECONDS
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@"
  summary+=("$(printf '%-12s %4d s' "$name" $((SECONDS - start)))")
}

stage simulate    mlpf simulate -p parameters/simulate_gun.yaml --events 20 --seed 1 --output "$out/gun.root"
stage inspect     mlpf inspect "$sample"
stage postprocess mlpf postprocess "$sample" --output "$out/dataset" --overwrite
stage train       mlpf train -p "$parameters" --data "$out/dataset" --output "$out/run" --overwrite
stage evaluate    mlpf evaluate "$out/run" "$out/dataset" --output "$out/evaluation" --overwrite
stage export      mlpf export "$out/run" --output "$out/model.onnx" --target cmssw
stage produce     mlpf produce "$out/model.onnx" "$sample" --output "$out/candidates.root"
stage parquet     mlpf produce "$out/model.onnx" "$sample" --output "$out/candidates.parquet"
stage agree       python scripts/compare_candidates.py "$out/evaluation/predictions.parquet" "$out/candidates.root" "$out/candidates.parquet"
stage display     mlpf display "$sample" --event 87 --predictions "$out/candidates.root" --output "$out/event.png"
stage page        mlpf display "$sample" --event 87 --predictions "$out/candidates.root" --output "$out/event.html"

printf '\n== Done in %d s\n' "$SECONDS"
printf '   %s\n' "${summary[@]}"
cat <<END
   dataset     $out/dataset
   run         $out/run
   model       $out/model.onnx
   candidates  $out/candidates.root, $out/candidates.parquet
   plots       $out/evaluation/plots, $out/event.png
   event       $out/event.html
   report      $out/evaluation/report.html
END
