# Sourced by the scripts of the reference model: simulated samples, each made once, as datasets in output/reference.
# Needs 3 GB of disk, and 1.2 GB more while a sample is made.

jobs="$(nproc)"

sample() {  # sample FOLDER PARAMETERS EVENTS SEED: simulate and postprocess, unless the dataset is there
  local dataset="output/reference/$1"
  mkdir -p "$(dirname "$dataset")"
  if [ ! -e "$dataset/manifest.json" ]; then
    mlpf simulate -p "parameters/$2.yaml" --events "$3" --seed "$4" --jobs "$jobs" --output "$dataset.root"
    mlpf postprocess "$dataset.root" --output "$dataset" --jobs "$jobs"
  fi
  rm -f "$dataset.root"
}

training_samples() {
  sample ttbar_1        simulate_ttbar         8000 101
  sample ttbar_2        simulate_ttbar        12000 111
  sample qcd_1          simulate_qcd           8000 102
  sample qcd_2          simulate_qcd          12000 112
  sample guns           simulate_multigun      3000 103
  sample ttbar_pileup_1 simulate_ttbar_pileup   400 104
  sample ttbar_pileup_2 simulate_ttbar_pileup   600 114
}

heldout_samples() {  # never trained on; of Z -> tau tau nothing is
  sample heldout/ttbar        simulate_ttbar        4000 201
  sample heldout/qcd          simulate_qcd          4000 202
  sample heldout/ztautau      simulate_ztautau      4000 203
  sample heldout/ttbar_pileup simulate_ttbar_pileup  200 204
}
