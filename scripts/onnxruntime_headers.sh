#!/usr/bin/env bash
# Headers of ONNX Runtime for the C++ program (mlpf/producer/cpp), as Debian packs them, into .onnxruntime/headers: with the library of the Python package they are
# all that its test needs. Nothing is installed. MLPF_ONNXRUNTIMES names another folder than .onnxruntime. Needs the network once, curl and dpkg-deb.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${MLPF_ONNXRUNTIMES:-.onnxruntime}/headers"
package="https://deb.debian.org/debian/pool/main/o/onnxruntime/libonnxruntime-dev_1.21.0%2Bdfsg-1_amd64.deb"
digest=14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08 # sha256

if [[ -f "$target/usr/include/onnxruntime/onnxruntime_cxx_api.h" ]]; then exit 0; fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
curl --fail --silent --show-error --location --max-time 60 --output "$scratch/headers.deb" "$package"
echo "$digest  $scratch/headers.deb" | sha256sum --check --quiet
mkdir -p "$target"
dpkg-deb -x "$scratch/headers.deb" "$target"
