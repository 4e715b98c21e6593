"""``mlpf inspect``: what a file holds."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import yaml
from rich.markup import escape
from rich.table import Table

from mlpf import schema
from mlpf.cli.console import console
from mlpf.errors import MlpfError, NtupleError
from mlpf.events import Events
from mlpf.io.model_file import MODEL_FILE, read_header


def run(
    path: Annotated[
        Path, typer.Argument(help="Ntuple, Delphes or EDM4hep file (.root), candidates (.root, .parquet), dataset folder, run folder, or model (.onnx).")
    ],
    columns: Annotated[bool, typer.Option("--columns", help="List every column with unit, range and meaning.")] = False,
    contract: Annotated[bool, typer.Option("--contract", help="Run the consumer's contract on an ONNX model.")] = False,
) -> None:
    """Say what a file holds: events, collections, columns, what is missing, what is not finite.

    Example: [bold]mlpf inspect data/ttbar.root[/]
    """
    if contract and path.suffix != ".onnx":
        raise MlpfError(f"{path}: --contract applies to ONNX models")
    if path.suffix == ".root":
        _inspect_root(path, columns)
    elif path.suffix == ".onnx":
        _inspect_onnx(path, contract)
    elif path.suffix == ".parquet" and path.is_file():
        _inspect_candidates(path, columns)
    elif (path / "manifest.json").is_file():
        _inspect_dataset(path, columns)
    elif (path / MODEL_FILE).is_file():
        _inspect_run(path)
    elif path.exists():
        raise MlpfError(f"{path}: not an ntuple (.root), candidates (.root, .parquet), a dataset (manifest.json), a run ({MODEL_FILE}) or a model (.onnx)")
    else:
        raise MlpfError(f"{path}: no such file or folder")


class _Summary:
    """Counts gathered while chunks stream by."""

    def __init__(self) -> None:
        self.sizes: Counter[str] = Counter()
        self.types: Counter[int] = Counter()
        self.non_finite: Counter[str] = Counter()
        self.ranges: dict[str, tuple[float, float]] = {}
        self.num_events = 0
        self.num_unknown_types = 0

    def add(self, events: Events) -> None:
        self.num_events += len(events)
        for collection in events.offsets:
            self.sizes[collection] += events.size(collection)
        if "element_type" in events:
            known = (events["element_type"] >= 0) & (events["element_type"] < schema.NUM_ELEMENT_TYPES)
            self.types.update(dict(enumerate(np.bincount(events["element_type"][known]))))
            self.num_unknown_types += int((~known).sum())
        self.non_finite.update({name: len(bad) for name, bad in events.non_finite(list(events.columns)).items()})
        for name, values in events.columns.items():
            finite = values[np.isfinite(values)]
            if len(finite):
                low, high = self.ranges.get(name, (np.inf, -np.inf))
                self.ranges[name] = min(low, float(finite.min())), max(high, float(finite.max()))

    def print(self, layout: schema.Layout, present: set[str], columns: bool) -> None:
        table = Table("collection", "entries", "per event", "columns", title=f"{self.num_events} events", title_justify="left")
        for name, collection in layout.collections.items():
            have = [c.name for c in collection.columns if c.name in present]
            size = self.num_events if collection.scalar else self.sizes[name]
            table.add_row(name, str(size), f"{size / max(self.num_events, 1):.1f}", f"{len(have)} of {len(collection.columns)}")
        console.print(table)
        if "element_type" in layout.columns:
            types = [f"{schema.ElementType(t).name} {n}" for t, n in sorted(self.types.items()) if n]
            types += [f"unknown {self.num_unknown_types}"] * (self.num_unknown_types > 0)
            console.print(f"elements by type: {', '.join(types) or 'none'}")
        not_finite = ", ".join(f"{name} {n}" for name, n in self.non_finite.items())
        console.print(f"non-finite values: {not_finite or 'none'}")
        if columns:
            self._print_columns(layout, present)

    def _print_columns(self, layout: schema.Layout, present: set[str]) -> None:
        # plain lines: a table would break names and meanings on a screen of 80 columns
        width = max(map(len, layout.columns))
        console.print(f"{'column':{width}}  {'unit':9} {'lowest':>11} {'highest':>11}  meaning")
        for name, column in layout.columns.items():
            low, high = (f"{x:.5g}" for x in self.ranges[name]) if name in self.ranges else ("", "") if name in present else ("missing", "")
            console.print(f"{name:{width}}  {column.unit:9} {low:>11} {high:>11}  {column.meaning}", markup=False)


def _inspect_root(path: Path, columns: bool) -> None:
    from mlpf.io.inputs import open_input
    from mlpf.io.ntuple import holds_candidates

    if holds_candidates(path):
        _inspect_candidates(path, columns)
        return
    summary = _Summary()
    with open_input(path) as file:
        kind = f"PFAnalysis ntuple, version {file.version}" if file.version in schema.VERSIONS else f"{file.version} file"
        console.print(f"{escape(str(path))}: {kind}, tree {file.tree_path}")
        links = "all inside their events"
        for events in file.iterate():
            try:
                events.validate()
            except NtupleError as error:
                links = str(error)
            summary.add(events)
        summary.print(schema.NTUPLE, set(file.branches), columns)
        console.print(f"links and types: {escape(links)}")
        console.print(f"columns of version {file.version} that it lacks: {', '.join(file.missing) or 'none'}")


def _inspect_candidates(path: Path, columns: bool) -> None:
    from mlpf.io.candidates import read_candidates

    candidates, summary = read_candidates(path), _Summary()
    summary.add(candidates)
    console.print(f"{escape(str(path))}: candidates of mlpf" + (f", tree {schema.CANDIDATES_TREE}" if path.suffix == ".root" else ""))
    summary.print(schema.CANDIDATES, set(candidates.columns), columns)


def _inspect_dataset(path: Path, columns: bool) -> None:
    from mlpf.io.shards import ShardedDataset
    from mlpf.samples.split import SPLITS, SplitConfig, split_index

    dataset = ShardedDataset(path, verify=True)
    summary, classes, splits = _Summary(), Counter[int](), Counter[int]()
    present: set[str] = set()
    for events in dataset.iterate():
        summary.add(events)
        classes.update(events["target_class"].tolist())
        splits.update(split_index(events["run"], events["lumi"], events["event"], SplitConfig()).tolist())
        present |= set(events.columns)
    console.print(f"{escape(str(path))}: dataset, schema {schema.SCHEMA_VERSION} ({schema.digest()}), shards: {len(dataset.shards)}, checksums agree")
    summary.print(schema.DATASET, present, columns)
    console.print("targets by class: " + ", ".join(f"{schema.CandidateClass(c).name.lower()} {n}" for c, n in sorted(classes.items())))
    console.print("events by split, unless training.split says otherwise: " + ", ".join(f"{name} {splits[i]}" for i, name in enumerate(SPLITS)))
    made_with = {key: value for key, value in dataset.manifest.items() if key not in ("shards", "schema_digest")}
    console.print("manifest:", yaml.safe_dump(made_with, sort_keys=False, default_flow_style=None, width=120), sep="\n", markup=False)


def _inspect_run(path: Path) -> None:
    header = read_header(path)
    console.print(f"{escape(str(path))}: trained model, tensors: {len(header.shapes)}, numbers in them: {sum(map(math.prod, header.shapes.values()))}")
    console.print_json(header.description)


def _inspect_onnx(path: Path, contract: bool) -> None:
    from mlpf.export.contract import check_contract, default_opset, read_model
    from mlpf.producer.producer import METADATA_FEATURES
    from mlpf.producer.session import open_session, session_tensors

    model = read_model(path)
    session = open_session(path)
    console.print(f"{escape(str(path))}: ONNX model, opset {default_opset(model)}, IR {model.ir_version}, {path.stat().st_size / 1e6:.2f} MB")
    for kind, arguments in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for tensor in session_tensors(arguments):
            console.print(f"  {kind:6} {tensor}")
    for key, value in session.get_modelmeta().custom_metadata_map.items():
        is_ours = key == METADATA_FEATURES and value == json.dumps(schema.FEATURES)
        console.print(f"  {key}: {f'the {len(schema.FEATURES)} of mlpf.schema.FEATURES, in this order' if is_ours else value}", markup=False)
    if contract:
        report = check_contract(path)
        table = Table("clause", "holds", "measured, or what is wrong", title="the consumer's contract (CMSSW MLPFProducer)", title_justify="left")
        for check in report.checks:
            table.add_row(check.name, "[green]yes[/]" if check.passed else "[bold red]no[/]", check.measured or check.problem)
        console.print(table)
        report.require()
