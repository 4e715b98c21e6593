#!/usr/bin/env bash
# One batch job: CMSSW environment, chain, stage-out. Does nothing where the ntuple exists already, so a job may run twice.
# Usage: ntuple_job.sh SEED EVENTS CMSSW_AREA CONFIGS DESTINATION
#   CMSSW_AREA   release area that the worker node sees, with everything compiled
#   DESTINATION  folder, or root://HOST//FOLDER; the file becomes DESTINATION/pfntuple_SEED.root
set -euo pipefail
[[ $# -eq 5 ]] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
seed="$1" events="$2" area="$3" destination="${5%/}/pfntuple_$1.root"
configs="$(cd "$4" && pwd)"
# shellcheck source-path=SCRIPTDIR source=storage.sh
source "$here/storage.sh"

if exists "$destination"; then echo "$destination exists"; exit 0; fi
echo "seed $seed, $events events, on $(hostname), $(date)"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
set +u  # CMS's scripts read unset variables
# shellcheck source=/dev/null
source "${CMSSET:-/cvmfs/cms.cern.ch/cmsset_default.sh}"
cd "$area/src"
eval "$(scramv1 runtime -sh)"
set -u

cd "$work"
bash "$here/ntuple_chain.sh" "$seed" "$events" "$configs"
store_patiently pfntuple.root "$destination"
echo "wrote $destination"
