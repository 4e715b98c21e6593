#!/usr/bin/env bash
# Headers of ONNX Runtime for tests/producer/test_cpp.py, as Debian packs them, in .onnxruntime/headers; the library is that of the Python package.
# What is there already stays. MLPF_ONNXRUNTIMES names another folder. Without network, curl or dpkg-deb it says so and succeeds: that test is skipped then.
set -euo pipefail
cd "$(dirname "$0")/.."

place="${MLPF_ONNXRUNTIMES:-.onnxruntime}/headers"
package="https://deb.debian.org/debian/pool/main/o/onnxruntime/libonnxruntime-dev_1.21.0%2Bdfsg-1_amd64.deb"
digest=14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08 # sha256

[[ -f "$place/usr/include/onnxruntime/onnxruntime_cxx_api.h" ]] && exit 0
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
if curl --fail --silent --location --max-time 60 --output "$scratch/headers.deb" "$package" &&
  echo "$digest  $scratch/headers.deb" | sha256sum --check --status &&
  dpkg-deb -x "$scratch/headers.deb" "$scratch/headers"; then
  mkdir -p "$(dirname "$place")"
  rm -rf "$place"
  mv "$scratch/headers" "$place"
else
  echo "headers of ONNX Runtime cannot be fetched (no network, or not a Debian machine); the C++ program is not tested"
fi
