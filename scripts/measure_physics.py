#!/usr/bin/env python
"""Measure what a model does better than rule-based particle flow, and where it does not; fill in a document of such tables and draw its figure.

`./scripts/evaluate_reference_model.sh` makes the samples and calls this. Every claim is tested in every sample and bin; the exit status does not depend on it.
"""

import argparse
import sys
import time
from pathlib import Path

from mlpf.errors import MlpfError
from mlpf.evaluation.document import fill
from mlpf.evaluation.names import parse_inputs
from mlpf.evaluation.operating import operating_points
from mlpf.evaluation.physics import tables
from mlpf.evaluation.predictor import ALL, load_predictor
from mlpf.evaluation.run import evaluate
from mlpf.io.files import write_text
from mlpf.io.readable_json import readable_json
from mlpf.io.shards import ShardedDataset
from mlpf.plotting.physics import draw_gains
from mlpf.plotting.style import style

POINTS, FIGURE = "operating_points.json", "gains.png"
DPI = 100


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="run folder or ONNX file")
    parser.add_argument("datasets", type=Path, nargs="+", help="datasets of events that the model has not seen; their folders are called as the samples")
    parser.add_argument("--output", type=Path, required=True, help="folder of the evaluation; an earlier one is replaced")
    parser.add_argument("--document", type=Path, help="its blocks (<!-- measured: jets -->) are filled in; the figure goes to images/physics beside it")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    start = time.perf_counter()

    def report(text: str) -> None:
        print(f"{time.perf_counter() - start:6.0f} s  {text}", flush=True)

    try:
        document = options.document
        if document is not None and not document.is_file():
            raise MlpfError(f"{document}: no such file; give a document with markers, or leave --document out")
        inputs = parse_inputs([str(options.model), *map(str, options.datasets)])
        ((name, path),) = inputs.models.items()
        datasets = {sample: ShardedDataset(folder) for sample, folder in inputs.datasets.items()}
        model = load_predictor(path)
        metrics = evaluate({name: model}, datasets, options.output, split=ALL, overwrite=True).metrics["datasets"]
        report(f"{options.output}: report.html, metrics.json, predictions, figures")
        points = {}
        for sample, dataset in datasets.items():
            points[sample] = operating_points(model, dataset)
            report(f"thresholds moved on {len(dataset)} events of {sample}")
        write_text(options.output / POINTS, readable_json(points) + "\n")
        blocks = tables(metrics, points, name)
        print(f"\n{blocks['verdict']}")
        if document is not None:
            images = document.parent / "images" / "physics"
            images.mkdir(parents=True, exist_ok=True)
            with style():
                draw_gains(metrics, points, name).savefig(images / FIGURE, dpi=DPI)
            write_text(document, fill(document.read_text(encoding="utf-8"), blocks, document.name))
            report(f"{document} filled in, {images / FIGURE} drawn")
    except MlpfError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
