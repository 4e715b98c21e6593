#!/usr/bin/env bash
# The ONNX Runtimes of CMSSW 14_1 and 15_0, each in an environment of its own, .onnxruntime/VERSION, where tests/contract/test_runtimes.py finds them.
# What is there already stays. MLPF_ONNXRUNTIMES names another folder. Without network it says so and succeeds: those tests are skipped then.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${MLPF_ONNXRUNTIMES:-.onnxruntime}"

for version in 1.17.1 1.20.1; do
  place="$folder/$version"
  [[ -f "$place/installed" ]] && continue
  echo "== Setting up ONNX Runtime $version in $place (once)"
  rm -rf "$place"
  # 1.17.1 was built for numpy 1; what else it asks for it needs only to convert models
  if python3 -m venv "$place" &&
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 20 --only-binary :all: --no-deps \
      "onnxruntime==$version" numpy==1.26.4 2> /dev/null; then
    touch "$place/installed"
  else
    rm -rf "$place"
    echo "onnxruntime $version cannot be installed (no network, or no wheel for this Python); tests with it are skipped"
  fi
done
