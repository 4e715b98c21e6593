"""``mlpf inspect``: what a file holds."""

import json
import math
import time
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
    events: Annotated[
        Path | None, typer.Option(help="With --contract: take the first 10 events of this file or dataset in place of the simulated ones of the library.")
    ] = None,
) -> None:
    """Say what a file holds: events, collections, columns, what is missing, what is not finite.

    Example: [bold]mlpf inspect data/ttbar.root[/]
    """
    if contract and path.suffix != ".onnx":
        raise MlpfError(f"{path}: --contract applies to ONNX models")
    if events is not None and not contract:
        raise MlpfError("--events says what --contract runs the model on; pass both")
    if path.suffix == ".root":
        _inspect_root(path, columns)
    elif path.suffix == ".onnx":
        _inspect_onnx(path)
        if contract:
            _check_contract(path, events)
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


def _inspect_onnx(path: Path) -> None:
    from mlpf.export.graph import default_opset, input_tensors, output_tensors, precision_of, read_model, variant_of
    from mlpf.producer.producer import METADATA_FEATURES

    model = read_model(path)
    kind = f"{variant_of(model)} operators, {precision_of(model)} inside"
    console.print(f"{escape(str(path))}: ONNX model, opset {default_opset(model)}, IR {model.ir_version}, {kind}, {path.stat().st_size / 1e6:.2f} MB")
    for which, tensors in (("input", input_tensors(model)), ("output", output_tensors(model))):
        for tensor in tensors:
            console.print(f"  {which:6} {tensor}", markup=False)
    for entry in model.metadata_props:
        is_ours = entry.key == METADATA_FEATURES and entry.value == json.dumps(schema.FEATURES)
        text = f"the {len(schema.FEATURES)} of mlpf.schema.FEATURES, in this order" if is_ours else entry.value
        console.print(f"  {entry.key}: {text}", markup=False)


def _check_contract(path: Path, source: Path | None) -> None:
    from mlpf.export.contract import check_contract, target_of
    from mlpf.export.events import contract_events, read_events
    from mlpf.export.graph import read_model

    start = time.perf_counter()
    events = contract_events() if source is None else read_events(source)
    report = check_contract(path, events)
    origin = "simulated by this library" if source is None else f"of {source}"
    title = f"the contract of the target {target_of(read_model(path))}, on {len(events)} events of {len(events[0])} to {len(events[-1])} elements {origin}"
    table = Table("clause", "holds", "measured, or what is wrong", title=escape(title), title_justify="left")
    for check in report.checks:
        table.add_row(check.name, "[green]yes[/]" if check.passed else "[bold red]no[/]", escape(check.problem or check.measured))
    console.print(table)
    console.print(f"{sum(check.passed for check in report.checks)} of {len(report.checks)} clauses hold, {time.perf_counter() - start:.1f} s")
    report.require()
