"""CRAB3: the same chain on the grid.

In the folder of the configurations, after cmsenv and the set-up of CRAB: ``crab submit -c /path/to/scripts/cms/crab_ntuples.py``.
"""

from pathlib import Path

from CRABClient.UserUtilities import config as new_config

SCRIPTS = Path(__file__).resolve().parent
EVENTS_PER_JOB = 50
NUM_JOBS = 1000
FIRST_SEED = 100001  # job i has seed FIRST_SEED + i - 1; another task needs another range

config = new_config()
config.General.requestName = f"ttbar_pu_{FIRST_SEED}"
config.General.workArea = "crab"
config.General.transferOutputs = True
config.General.transferLogs = False

config.JobType.pluginName = "PrivateMC"
config.JobType.psetName = "gensim_digi_cfg.py"  # what CRAB checks; the script runs it with seeds of its own
config.JobType.scriptExe = str(SCRIPTS / "crab_job.sh")
config.JobType.scriptArgs = [f"first_seed={FIRST_SEED}", f"events={EVENTS_PER_JOB}"]
config.JobType.inputFiles = [
    *(str(SCRIPTS / name) for name in ("ntuple_chain.sh", "job_settings.py")),
    "gensim_digi_cfg.py",
    "reco_ntuple_cfg.py",
]
config.JobType.disableAutomaticOutputCollection = True  # step2.root and step3.root stay behind
config.JobType.outputFiles = ["pfntuple.root"]
config.JobType.maxMemoryMB = 6000
config.JobType.maxJobRuntimeMin = 2700

config.Data.outputPrimaryDataset = "TTbar"
config.Data.outputDatasetTag = f"pfntuple_{FIRST_SEED}"
config.Data.splitting = "EventBased"
config.Data.unitsPerJob = EVENTS_PER_JOB
config.Data.totalUnits = EVENTS_PER_JOB * NUM_JOBS
config.Data.publication = False

config.Site.storageSite = "T2_CH_CERN"  # yours
