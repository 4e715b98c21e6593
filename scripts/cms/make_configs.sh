#!/usr/bin/env bash
# The two CMSSW configurations that all jobs of a sample share. Run it inside the release area (after cmsenv).
# Usage: make_configs.sh FRAGMENT OUTPUT_FOLDER [PILEUP_INPUT]
#   FRAGMENT      generator fragment, for example TTbar_13p6TeV_TuneCUETP8M1_cfi
#   PILEUP_INPUT  GEN-SIM of minimum bias, as cmsDriver.py takes it: filelist:FILE or das:/DATASET; without it there is no pileup
# Environment: CONDITIONS, ERA, BEAMSPOT, HLT, PILEUP change the defaults below.
set -euo pipefail
[[ $# -ge 2 && $# -le 3 ]] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
fragment="$1" output="$2" pileup_input="${3:-}"

# The set that the public ntuples of 2026 were made with (docs/cms.md); the five belong together.
conditions="${CONDITIONS:-140X_mcRun3_2024_realistic_v26}"
era="${ERA:-Run3_2024}"
beamspot="${BEAMSPOT:-DBrealistic}"
hlt="${HLT:-HLT:@relval2023}"
pileup=(--pileup NoPileUp)
[[ -z "$pileup_input" ]] || pileup=(--pileup "${PILEUP:-Run3_Flat55To75_PoissonOOTPU}" --pileup_input "$pileup_input")

common=(--conditions "$conditions" --era "$era" --beamspot "$beamspot" --geometry DB:Extended --eventcontent FEVTDEBUGHLT --mc --no_exec)
customise=Validation/RecoParticleFlow/customize_pfanalysis
mkdir -p "$output"
cd "$output"

# Classical mixing: premixed pileup has no CaloParticles. customize_step2 makes and keeps those of ECAL and HCAL, pileup included.
cmsDriver.py "$fragment" -n 1 -s "GEN,SIM,DIGI:pdigi_valid,L1,DIGI2RAW,$hlt" --datatier GEN-SIM "${common[@]}" "${pileup[@]}" \
  --customise "$customise.customize_step2" --fileout file:step2.root --python_filename gensim_digi_cfg.py

# customize_step3 schedules PFAnalysis, which writes pfntuple.root.
cmsDriver.py step3 -n -1 -s RAW2DIGI,L1Reco,RECO,RECOSIM --datatier GEN-SIM-RECO "${common[@]}" \
  --customise "$customise.customize_step3" --filein file:step2.root --fileout file:step3.root --python_filename reco_ntuple_cfg.py
