"""What an integrator needs beside the model: a customise function for cmsDriver.py, and a page that says where each file goes and how to run it."""

from pathlib import Path

from mlpf.errors import ModelError
from mlpf.export.card import ModelCard
from mlpf.export.triton import MODEL_NAME, triton_config

MODULE_SUFFIX = "_customise"
SUFFIXES = (".pbtxt", f"{MODULE_SUFFIX}.py", ".md")
"""What follows the model's name in the names of these files."""
FUNCTION = "customise_mlpf_model"
DATA_FOLDER = "RecoParticleFlow/PFProducer/data/mlpf"  # of the release, and of the repository cms-data/RecoParticleFlow-PFProducer

CUSTOMISE = '''\
"""Makes CMSSW's MLPF producer read {name}.onnx; written by mlpf export.

Lies in RecoParticleFlow/PFProducer/python/ and is used as
cmsDriver.py ... --procModifiers mlpf --customise {customise}
"""

MODEL_PATH = "{data_folder}/{name}.onnx"


def {function}(process):
    """Set the model wherever there is an MLPF producer: the modifier puts it in the place of particleFlowTmp, so both labels may hold one."""
    for label in ("particleFlowTmp", "mlpfProducer"):
        module = getattr(process, label, None)
        if module is not None and module.type_() == "MLPFProducer":
            module.model_path = MODEL_PATH
    return process
'''

PAGE = """\
# {name}.onnx in CMSSW

Written by mlpf export; all numbers are in `{name}.json`.

| | |
|---|---|
| model | {model}, {num_parameters} parameters |
| file | variant {variant}, {precision} inside, opset {opset}, IR {ir_version}, {bytes} bytes |
| sha256 | `{sha256}` |
| decision | {rule} (threshold {threshold}) |
| consumer | `MLPFProducer` of CMSSW master (cms-sw/cmssw#50316); ONNX Runtime 1.17.1 (CMSSW 14_1) and later load the file |

## Where the files go

| file | goes to | what it is |
|---|---|---|
| `{name}.onnx` | `$CMSSW_BASE/src/{data_folder}/` | the model |
| `{name}_customise.py` | `$CMSSW_BASE/src/RecoParticleFlow/PFProducer/python/` | tells the producer to read it |
| `{name}.pbtxt` | Triton's model repository, as `{triton}/config.pbtxt` | configuration of the server |
| `{name}.json` | stays with the model | the card: features, classes, training, evaluation, checks |

```bash
cd $CMSSW_BASE/src && cmsenv
git cms-addpkg RecoParticleFlow/PFProducer
mkdir -p {data_folder}
cp {name}.onnx {data_folder}/
cp {name}_customise.py RecoParticleFlow/PFProducer/python/
scram b
```

## Run it

The process modifier `mlpf` puts `MLPFProducer` in the place of `particleFlowTmp`; the function of
`{name}_customise.py` gives it this model. To any RECO step of cmsDriver.py add

```bash
--procModifiers mlpf --customise {customise}
```

`edmConfigDump STEP3.py | grep model_path` must then name `{name}.onnx`. The producer runs the model on an NVIDIA GPU where the job
has one, else on the CPU with one thread.

Whole workflows, 11834.13 (ttbar with pileup) and 11843.13 (QCD with pileup), which switch the modifier on themselves:

```bash
runTheMatrix.py --what upgrade -l 11834.13,11843.13 --command="--customise {customise}"
```

Validation of the particle flow (jets, missing momentum, candidates): in `Validation/RecoParticleFlow/test/run_relval.sh` set

```bash
CUSTOM="--procModifiers mlpf --customise {customise}"
```

and run `run_relval.sh QCDPU reco 0`, then `run_relval.sh QCDPU dqm 0`; once without these options gives the rule-based reference.

## On a Triton server

```
REPOSITORY/{triton}/config.pbtxt    = {name}.pbtxt
REPOSITORY/{triton}/1/{name}.onnx
```

The client, `MLPFSONICProducer`, is not in cms-sw/cmssw yet, but in branches of its developers. It sends one event per request,
tensors by name; its `modelName` is `{triton}`, its `modelConfigPath` a copy of the same configuration, by default
`{data_folder}/config.pbtxt`.

## To make it official

A pull request with `{name}.onnx` in `mlpf/` to `cms-data/RecoParticleFlow-PFProducer`, and one to `cms-sw/cmssw` that
changes the default of `model_path` in `MLPFProducer`, tested together (`pull_requests` among the parameters of the test).
"""


def check_name(path: Path) -> None:
    """Refuse names that CMSSW could not import: cmsDriver.py writes ``from RecoParticleFlow.PFProducer.NAME_customise import ...``.

    Raises:
        ModelError: the name has anything but letters, digits and _, or begins with a digit.
    """
    if not (path.stem.isascii() and path.stem.isidentifier()):
        raise ModelError(f"{path}: CMSSW imports a Python module of this name; use letters, digits and _ only, a letter first (or --target standalone)")


def files_for_cmssw(card: ModelCard) -> dict[str, str]:
    """Content of the files beside a model, by `SUFFIXES`."""
    name = card.file.removesuffix(".onnx")
    customise = f"RecoParticleFlow/PFProducer/{name}{MODULE_SUFFIX}.{FUNCTION}"
    known = {"name": name, "data_folder": DATA_FOLDER, "customise": customise}
    about = card.model_dump(include={"num_parameters", "variant", "precision", "opset", "ir_version", "bytes", "sha256"})
    model = card.training.get("model", {}).get("name", "a model without a run")
    page = PAGE.format(**known, **about, model=model, rule=card.decision.rule, threshold=card.decision.threshold, triton=MODEL_NAME)
    return dict(zip(SUFFIXES, (triton_config(card.file), CUSTOMISE.format(**known, function=FUNCTION), page), strict=True))
