#!/usr/bin/env bash
# One job's events, GEN to ntuple, in the current folder; needs cmsRun on the PATH. Leaves pfntuple.root and FrameworkJobReport.xml.
# Usage: ntuple_chain.sh SEED EVENTS CONFIGS
#   SEED     positive; also the luminosity block of the events, so no two jobs of all your samples may share one
#   CONFIGS  folder that make_configs.sh wrote
set -euo pipefail
[[ $# -eq 3 ]] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
seed="$1" events="$2" configs="$3"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

step() {  # step NAME COMMAND...: run, time and size one step
  local name="$1" start=$SECONDS
  shift
  "$@"
  echo "== $name: $((SECONDS - start)) s, $(du -sh . | cut -f1) in the folder"
}

cat "$configs/gensim_digi_cfg.py" "$here/job_settings.py" > gensim_digi_job_cfg.py
echo "set_job(process, $seed, $events)" >> gensim_digi_job_cfg.py
step "generation, simulation, digitisation" cmsRun gensim_digi_job_cfg.py
step "reconstruction, ntuple" cmsRun -j FrameworkJobReport.xml "$configs/reco_ntuple_cfg.py"
rm -f step2.root step3.root
[[ -s pfntuple.root ]] || { echo "error: no pfntuple.root: customize_step3 of this release does not schedule PFAnalysis (docs/cms.md)" >&2; exit 1; }
