"""Trained model -> one ONNX file that the consumer can run, checked before it gets its name."""

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import mlpf
from mlpf import schema
from mlpf.errors import ModelError
from mlpf.export.card import model_card
from mlpf.export.contract import MAX_IR_VERSION, MAX_OPSET, TARGETS, check_contract
from mlpf.export.parity import check_parity
from mlpf.export.report import Check, ContractReport
from mlpf.export.standalone import StandaloneModule, check_candidates
from mlpf.io.files import atomic_file
from mlpf.producer.producer import METADATA_FEATURES, METADATA_SCHEMA_DIGEST, METADATA_SPLIT, METADATA_VERSION
from mlpf.producer.signature import TENSORS
from mlpf.random_elements import random_elements

OUTPUT_NAMES = {target: [output.name for output in outputs] for target, (_, outputs) in TENSORS.items()}
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


def export_model(model: torch.nn.Module, path: str | Path, training: Mapping[str, Any] | None = None, target: str = "cmssw") -> ContractReport:
    """Write ``path`` (ONNX) and, beside it, the model's card (same name, ``.json``).

    Args:
        model: trained; ``forward(features (B, N, 55), mask (B, N))`` returns a `mlpf.nn.heads.ModelOutput`. It is copied, not changed.
        path: the file to write, suffix ``.onnx``; an existing one is replaced once the new one has passed.
        training: how the model was made, for the card; its ``split``, if any, goes into the file too, so that `mlpf evaluate` takes unseen events.
        target: one of `mlpf.export.contract.TARGETS`: ``cmssw``, or ``standalone`` for candidates as outputs.

    Returns:
        what was checked, the agreement with ``model`` among it.

    Raises:
        ModelError: unknown target, the model needs edges or cannot be exported, or the file would break the contract; nothing is written then.
    """
    path = Path(path)
    if target not in TARGETS:
        raise ModelError(f"target '{target}': unknown; choose one of {', '.join(TARGETS)}")
    if path.suffix != ".onnx" or path.is_dir():
        raise ModelError(f"{path}: expected the name of a file that ends in .onnx")
    if getattr(model, "needs_edges", False):
        raise ModelError("the model works on the edges of a dataset, which the consumer does not give; train one that does not (model.graph=knn)")
    model = copy.deepcopy(model).cpu().eval()
    module = ConsumerModule(model) if target == "cmssw" else StandaloneModule(model)
    graph = to_onnx(module, TARGETS[target].inputs, OUTPUT_NAMES[target])
    if training and "split" in training:
        graph.metadata_props.add(key=METADATA_SPLIT, value=json.dumps(training["split"]))
    with atomic_file(path) as temporary, atomic_file(path.with_suffix(".json")) as card:
        temporary.write_bytes(graph.SerializeToString())
        found = check_contract(temporary)
        own = [_same_as_torch(module, temporary)] if found.passed else []
        report = ContractReport(path, found.opset, found.ir_version, (*found.checks, *own))
        report.require()
        card.write_text(json.dumps(model_card(path.name, temporary, report, target, training or {}), indent=2) + "\n")
    return report


def _same_as_torch(module: ConsumerModule | StandaloneModule, path: Path) -> Check:
    return check_parity(module, path) if isinstance(module, ConsumerModule) else check_candidates(module.model, path)


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
