"""The model's card: what a user of the file has to know, beside it as JSON."""

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic

import mlpf
from mlpf import schema
from mlpf.config import Config
from mlpf.errors import ModelError
from mlpf.export.report import ContractReport
from mlpf.io.files import sha256
from mlpf.io.readable_json import readable_json
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
DECISIONS = {
    "cmssw": (
        "bid[1] > bid[0]: an element whose probability of being a particle is above the threshold becomes a candidate, of the class with the largest id; "
        "entry 0 of id never wins, superclusters never become one, and CMSSW corrects the class by the type of the element",
        "1 / (1 + exp(bid[0] - bid[1]))",
    ),
    "standalone": ("score > threshold: such an element becomes a candidate; its pdgid is not 0, and follows CMSSW's rules", "score"),
}


class Feature(Config):
    """One of the inputs of an element."""

    index: int
    name: str
    unit: str
    meaning: str


class ParticleClass(Config):
    """One of the classes."""

    index: int
    pdgid: int
    name: str


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")


Number = Annotated[float, pydantic.AfterValidator(_six_digits)]  # more digits than any uncertainty leaves


class Estimate(Config):
    """A measured number and its 68 % interval, which too few entries leave open."""

    value: Number
    low: Number | None
    high: Number | None
    n: int
    """Entries behind it."""


class WorkingPoint(Config):
    """Thresholds for a wanted efficiency, and what they gave."""

    particle_threshold: Number
    """Of the probability of being a particle."""
    class_threshold: Number | None = None
    """Of the probability of the class, if it is a particle; both must pass. None for particles of any class."""
    efficiency: Number
    misidentification: Number


class DatasetEvaluation(Config):
    """A model's results on a dataset."""

    path: str
    fingerprint: str
    split: str
    """Which of its events."""
    num_events: int
    metrics: dict[str, Estimate]
    """By name, as in the evaluation's `metrics.json`."""
    working_points: dict[str, dict[str, WorkingPoint]]
    """By class (``any``: a particle or none) and wanted efficiency; all elements of the dataset."""


class EvaluationSummary(Config):
    """What a test evaluation found."""

    folder: str
    identity: str
    """How it is known that the evaluation is of this model."""
    datasets: dict[str, DatasetEvaluation]


class Decision(Config):
    """When an element becomes a candidate."""

    rule: str
    score: str
    """The probability of being a particle, from the outputs."""
    threshold: float
    """What the consumer takes; a user of the scores may take a working point of the evaluation instead."""


class CheckResult(Config):
    """A clause of the contract."""

    name: str
    problem: str
    measured: str


class Contract(Config):
    """What was checked on the file before it got its name."""

    passed: bool
    checks: list[CheckResult]


class ModelCard(Config):
    """All that is known of an exported file."""

    card_format: Literal[1] = 1
    file: str
    sha256: str
    bytes: int
    num_parameters: int
    target: Literal["cmssw", "standalone"]
    variant: Literal["plain", "fused"]
    """``plain``: standard operators; ``fused``: also ONNX Runtime's own."""
    precision: Literal["float32", "float16"]
    """Inside the graph; inputs and outputs are float32."""
    opset: int
    ir_version: int
    mlpf_version: str
    software_license: str | None
    """Of mlpf, which made the file; that of the weights is for whoever trained them to say."""
    schema_version: int
    schema_digest: str
    decision: Decision
    inputs: dict[str, str]
    """Name, type and shape: meaning."""
    outputs: dict[str, str]
    classes: list[ParticleClass]
    features: list[Feature]
    training: dict[str, Any]
    """Configuration, epoch, checksum of the weights, datasets with fingerprints, losses on the validation events at that epoch."""
    evaluation: EvaluationSummary | None = None
    contract: Contract

    def to_json(self) -> str:
        """JSON for people."""
        return readable_json(self.model_dump(mode="json")) + "\n"


class Description(NamedTuple):
    """What the exporter knows of a file; the names are those of `ModelCard`."""

    target: str
    variant: str
    precision: str
    num_parameters: int
    training: dict[str, Any]
    evaluation: EvaluationSummary | None


def model_card(name: str, path: Path, report: ContractReport, about: Description) -> ModelCard:
    """Describe an ONNX file.

    Args:
        name: final name of the file.
        path: where it lies now.
        report: what was checked on it.
        about: the rest.
    """
    rule, score = DECISIONS[about.target]
    inputs, outputs = TENSORS[about.target]
    content = {
        "file": name,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        **about._asdict(),
        "opset": report.opset,
        "ir_version": report.ir_version,
        "mlpf_version": mlpf.__version__,
        "software_license": _license(),
        "schema_version": schema.SCHEMA_VERSION,
        "schema_digest": schema.digest(),
        "decision": {"rule": rule, "score": score, "threshold": 0.5},
        "inputs": {str(tensor): MEANINGS[tensor.name] for tensor in inputs},
        "outputs": {str(tensor): MEANINGS[tensor.name] for tensor in outputs},
        "classes": [{"index": index, "pdgid": int(c), "name": c.name.lower()} for index, c in enumerate(schema.CLASSES)],
        "features": [_feature(index, feature) for index, feature in enumerate(schema.FEATURES)],
        "contract": report.to_dict(),
    }
    return ModelCard.model_validate(content)


def read_card(path: str | Path) -> ModelCard:
    """Read a card again.

    Raises:
        ModelError: there is none, or it is damaged or of another version.
    """
    try:
        return ModelCard.model_validate_json(Path(path).read_text())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{path}: not a card of this version ({' '.join(str(error).split())[:200]}); export the model again") from error


def _license() -> str | None:
    try:
        about = metadata("mlpf")
    except PackageNotFoundError:  # run from a folder of sources
        return None
    return next((about[name] for name in ("License-Expression", "License") if name in about), None)


def _feature(index: int, name: str) -> dict[str, Any]:
    if name in ("sin_phi", "cos_phi"):
        return {"index": index, "name": name, "unit": "", "meaning": f"{'sine' if name == 'sin_phi' else 'cosine'} of element_phi"}
    column = schema.NTUPLE.columns[f"element_{name}"]
    return {"index": index, "name": name, "unit": column.unit, "meaning": column.meaning}
