"""Trained model -> one ONNX file that the consumer can run, checked before it gets its name."""

import copy
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import mlpf
from mlpf import schema
from mlpf.errors import ModelError
from mlpf.export.card import Description, ModelCard, model_card
from mlpf.export.cmssw_files import SUFFIXES as CMSSW_SUFFIXES
from mlpf.export.cmssw_files import check_name, files_for_cmssw
from mlpf.export.contract import MAX_IR_VERSION, MAX_OPSET, TARGETS, check_contract
from mlpf.export.evaluated import Evaluation, Identity, summarize
from mlpf.export.fused import with_fused_attention
from mlpf.export.graph import precision_of, variant_of
from mlpf.export.parity import check_parity, check_same_candidates
from mlpf.export.precision import to_half
from mlpf.export.report import Check, ContractReport
from mlpf.export.standalone import StandaloneModule, check_candidates
from mlpf.export.together import files_together
from mlpf.io.files import sha256
from mlpf.nn.model import num_parameters
from mlpf.producer.producer import METADATA_FEATURES, METADATA_SCHEMA_DIGEST, METADATA_SPLIT, METADATA_VERSION
from mlpf.producer.signature import TENSORS
from mlpf.random_elements import random_elements

OUTPUT_NAMES = {target: [output.name for output in outputs] for target, (_, outputs) in TENSORS.items()}
VARIANTS = ("plain", "fused")
PRECISIONS = {"float32": "float32", "fp32": "float32", "float16": "float16", "fp16": "float16"}
"""How a precision may be spelled: what it is."""
OURS = ("written by mlpf export", '"mlpf_version"')  # one of them is in every file that we put beside a model, in small letters
EXAMPLE_SHAPE = (2, 50)  # B, N of the event that the exporter traces; no size of the checks, so that a baked-in size cannot pass them


class ConsumerModule(torch.nn.Module):
    """A model with the consumer's outputs, by position: binary, class, momentum, pileup.

    Shapes:
        features: (B, N, 55), mask: (B, N) -> (B, N, 2), (B, N, 9), (B, N, 5), (B, N, 1)
    """

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """See the class."""
        output = self.model(features, mask)
        return output.binary, output.pid, output.momentum, output.pileup


def export_model(
    model: torch.nn.Module,
    path: str | Path,
    training: Mapping[str, Any] | None = None,
    target: str = "cmssw",
    *,
    variant: str = "plain",
    precision: str = "float32",
    events: Sequence[np.ndarray] | None = None,
    metrics: Evaluation | None = None,
) -> ContractReport:
    """Write ``path`` (ONNX) and what belongs beside it (`companions`), once all of it is made and checked: all files are new then, or none is.

    Args:
        model: trained; ``forward(features (B, N, 55), mask (B, N))`` returns a `mlpf.nn.heads.ModelOutput`. It is copied, not changed.
        path: the file to write, suffix ``.onnx``; an existing one is replaced once the new one has passed.
        training: how the model was made (`mlpf.export.training_record`); its ``split``, if any, goes into the file too, for `mlpf evaluate`.
        target: one of `mlpf.export.contract.TARGETS`: ``cmssw``, or ``standalone`` for candidates as outputs.
        variant: ``plain``, standard operators only, or ``fused``, with ONNX Runtime's own.
        precision: inside the graph: ``float32``, or ``float16`` (see `mlpf.export.precision`); inputs and outputs are float32.
        events: ``(N, 55)`` features each, N ascending, on which the file is checked; None: `contract_events`.
        metrics: an evaluation of this model, for the card.

    Returns:
        what was checked, the agreement with ``model`` among it.

    Raises:
        ModelError: unknown target, variant or precision, the model needs edges or cannot be exported, the evaluation is of another one, a file in the way is
            not ours, or the file would break the contract; nothing is written then.
    """
    path, precision = Path(path), PRECISIONS.get(precision, precision)
    _check_request(model, path, target, variant, precision)
    model = copy.deepcopy(model).cpu().eval()
    module = ConsumerModule(model) if target == "cmssw" else StandaloneModule(model)
    graph = make_graph(module, target, variant, precision)
    if training and "split" in training:
        graph.metadata_props.add(key=METADATA_SPLIT, value=json.dumps(training["split"]))
    with files_together([path, *companions(path, target)]) as (written, *beside):
        written.write_bytes(graph.SerializeToString())
        training = dict(training or {})
        identity = Identity(training.get("weights_sha256", ""), sha256(written))
        evaluation = None if metrics is None else summarize(metrics, identity)  # before the checks, which take longer
        report = _checked(module, written, path, events)
        about = Description(target, variant_of(graph), precision_of(graph), num_parameters(model), training, evaluation)
        _describe(model_card(path.name, written, report, about), beside)
    _remove(set(companions(path, "cmssw")) - set(companions(path, target)))  # of a file of another target which had this name
    return report


def companions(path: Path, target: str) -> list[Path]:
    """The files beside a model: its card, and for CMSSW the configuration of a Triton server, a customise function and a page for the integrator."""
    return [path.with_name(path.stem + suffix) for suffix in (".json", *(CMSSW_SUFFIXES if target == "cmssw" else ()))]


def make_graph(module: torch.nn.Module, target: str, variant: str = "plain", precision: str = "float32") -> onnx.ModelProto:
    """The graph of a module for a target, see `export_model`.

    Raises:
        ModelError: it cannot be made.
    """
    if variant == "fused":
        module = with_fused_attention(module)
    graph = to_onnx(module, TARGETS[target].inputs, OUTPUT_NAMES[target])
    return to_half(graph) if precision == "float16" else graph


def _check_request(model: torch.nn.Module, path: Path, target: str, variant: str, precision: str) -> None:
    """Raise `ModelError` for what no export can be made of."""
    for option, value, known in (("target", target, TARGETS), ("variant", variant, VARIANTS), ("precision", precision, PRECISIONS.values())):
        if value not in known:
            raise ModelError(f"{option} '{value}': unknown; choose one of {', '.join(dict.fromkeys(known))}")
    if path.suffix != ".onnx" or path.is_dir():
        raise ModelError(f"{path}: expected the name of a file that ends in .onnx")
    if target == "cmssw":
        check_name(path)
    if getattr(model, "needs_edges", False):
        raise ModelError("the model works on the edges of a dataset, which the consumer does not give; train one that does not (model.graph=knn)")
    for beside in companions(path, target):
        if beside.exists() and not _is_ours(beside):
            raise ModelError(f"{beside}: would be replaced, and mlpf export did not write it; choose another name for the model, or move it away")


def _describe(card: ModelCard, beside: Sequence[Path]) -> None:
    texts = [card.to_json(), *(files_for_cmssw(card).values() if card.target == "cmssw" else ())]
    for path, text in zip(beside, texts, strict=True):
        path.write_text(text)


def _remove(beside: Iterable[Path]) -> None:
    for path in beside:
        if _is_ours(path):
            path.unlink()


def _is_ours(beside: Path) -> bool:
    return beside.is_file() and any(mark in beside.read_text(errors="replace").lower() for mark in OURS)


def _checked(module: ConsumerModule | StandaloneModule, written: Path, path: Path, events: Sequence[np.ndarray] | None) -> ContractReport:
    """The report on a file that holds the contract and agrees with its module.

    Raises:
        ModelError: it does not, under its final name.
    """
    found = check_contract(written, events)
    own = _same_as_torch(module, written, events) if found.passed else []
    report = ContractReport(path, found.opset, found.ir_version, (*found.checks, *own))
    report.require()
    return report


def _same_as_torch(module: ConsumerModule | StandaloneModule, path: Path, events: Sequence[np.ndarray] | None) -> list[Check]:
    if isinstance(module, ConsumerModule):
        return [check_parity(module, path, events), check_same_candidates(module, path, events)]
    return [check_candidates(module.model, path, events)]


def to_onnx(module: torch.nn.Module, inputs: Sequence[str] = schema.ONNX_INPUTS, outputs: Sequence[str] = OUTPUT_NAMES["cmssw"]) -> onnx.ModelProto:
    """Trace a module with free batch and element axes.

    Args:
        module: of features (B, N, 55) and mask (B, N).
        inputs: names of those.
        outputs: names of what it returns.

    Raises:
        ModelError: the exporter cannot express the model.
    """
    num_events, num_elements = EXAMPLE_SHAPE
    rng = np.random.default_rng(0)
    features = torch.from_numpy(np.stack([random_elements(rng, num_elements) for _ in range(num_events)]))
    mask = torch.ones(num_events, num_elements)
    mask[1, num_elements // 2 :] = 0.0
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("elements")}
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module,
                (features, mask),
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=MAX_OPSET,
                dynamic_shapes=(axes, axes),
                dynamo=True,  # the older exporter writes wrong numbers for scatter max, without a word
                external_data=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ModelError(f"the model cannot be expressed in ONNX: {' '.join(str(error).split())[:300]}") from error
    assert program is not None
    return _for_older_runtimes(program.model_proto)


def _for_older_runtimes(graph: onnx.ModelProto) -> onnx.ModelProto:
    """State IR 9, without what IR 10 added (metadata of nodes and values, where the exporter keeps stack traces with paths of this machine)."""
    graph.ir_version = MAX_IR_VERSION
    graph.ClearField("metadata_props")
    for part in (graph.graph, *graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    metadata = {METADATA_VERSION: mlpf.__version__, METADATA_SCHEMA_DIGEST: schema.digest(), METADATA_FEATURES: json.dumps(schema.FEATURES)}
    onnx.helper.set_model_props(graph, metadata)
    graph.producer_name, graph.producer_version = "mlpf", mlpf.__version__
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's log lines and warnings about its own parts; errors still raise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
