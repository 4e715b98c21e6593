"""The model's card: what a user of the file has to know, beside it as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlpf
from mlpf import schema
from mlpf.export.report import ContractReport
from mlpf.io.files import sha256
from mlpf.producer.signature import OUTPUTS, PILEUP, TENSORS

MEANINGS = {
    "features": "raw features, neither cleaned nor scaled",
    "pdgid": "signed pdgId, 0 where the element yields no candidate (all other outputs are 0 there, too)",
    "pt": "GeV",
    "eta": "pseudorapidity",
    "phi": "rad",
    "energy": "GeV",
    "charge": "e",
    "score": "probability of being a particle",
    "pileup": "probability of coming from pileup",
    schema.ONNX_INPUTS[0]: "raw features, neither cleaned nor scaled",
    schema.ONNX_INPUTS[1]: "1 = real element, 0 = padding",
    OUTPUTS[0].name: "logits of no particle, particle",
    OUTPUTS[1].name: "logits of the classes",
    OUTPUTS[2].name: ", ".join(schema.MOMENTUM_COMPONENTS) + "; ratios are to the element's own pt and energy",
    PILEUP.name: "logit of coming from pileup",
}


def model_card(name: str, path: Path, report: ContractReport, target: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an ONNX file.

    Args:
        name: final name of the file.
        path: where it lies now.
        report: what was checked on it.
        target: the consumer it is made for.
        training: how the model was made.
    """
    return {
        "file": name,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "target": target,
        "mlpf_version": mlpf.__version__,
        "schema_version": schema.SCHEMA_VERSION,
        "schema_digest": schema.digest(),
        "opset": report.opset,
        "ir_version": report.ir_version,
        "inputs": {str(tensor): MEANINGS[tensor.name] for tensor in TENSORS[target][0]},
        "outputs": {str(tensor): MEANINGS[tensor.name] for tensor in TENSORS[target][1]},
        "features": [_feature(index, feature) for index, feature in enumerate(schema.FEATURES)],
        "classes": [{"index": index, "pdgid": int(c), "name": c.name.lower()} for index, c in enumerate(schema.CLASSES)],
        "training": dict(training),
        "contract": report.to_dict(),
    }


def _feature(index: int, name: str) -> dict[str, Any]:
    if name in ("sin_phi", "cos_phi"):
        return {"index": index, "name": name, "unit": "", "meaning": f"{'sine' if name == 'sin_phi' else 'cosine'} of element_phi"}
    column = schema.NTUPLE.columns[f"element_{name}"]
    return {"index": index, "name": name, "unit": column.unit, "meaning": column.meaning}
