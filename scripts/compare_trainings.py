#!/usr/bin/env python
"""Trainings of several models at the same budget of time, with several seeds, judged on the same test events.

    python scripts/compare_trainings.py --data output/ttbar --output output/comparison --minutes 60 --seeds 1 2 3 window gnn_lsh gravnet

A budget of minutes on a busy machine would be no budget. So the time of a training step is measured first, for each model alone on an idle machine, and kept in
`rates.json` (on one thread of a CPU its own time, which other processes hardly change). The budget becomes a number of steps, which can be trained several at a
time, interrupted and continued (the same command again). Validations are not part of it. Every run is made by `mlpf train` and judged by `mlpf evaluate`; the
table goes to `comparison.md`, all its numbers to `comparison.json`.

Particles are charged ones, and photons and neutral hadrons as neutral ones; jets are central; `metrics.json` defines the numbers. The table has means over the
seeds and the standard deviation between them; the uncertainty of the test events, which all models share, stands below.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mlpf.config import load_parameters
from mlpf.dataset.sample import select_split
from mlpf.errors import ConfigError
from mlpf.evaluation.folder import read_evaluation
from mlpf.io.shards import ShardedDataset
from mlpf.nn.model import num_parameters
from mlpf.nn.saved import load_model
from mlpf.training.config import RunParameters, run_parameters
from mlpf.tuning.space import flatten

ROOT = Path(__file__).parents[1]
MODEL, DATASET = "model", "test"  # their names in the evaluations
RATE_STEPS, RATE_WARMUP = 40, 10
CHARGED, NEUTRAL = ("charged_hadron", "electron", "muon"), ("neutral_hadron", "photon")
COLUMNS = {
    "validation/total": "validation loss",
    "validation/binary": "binary",
    "validation/pid": "class",
    "charged efficiency": "charged eff.",
    "charged fake rate": "charged fakes",
    "neutral efficiency": "neutral eff.",
    "neutral fake rate": "neutral fakes",
    "jet IQR/median": "jet IQR/median",
    "jet median": "jet median",
    "MET IQR": "MET IQR [GeV]",
}


class Contender(NamedTuple):
    """A parameter file in the comparison."""

    name: str
    file: Path
    options: argparse.Namespace

    def parameters(self, overrides: Sequence[str]) -> RunParameters:
        """As `mlpf train` will understand them."""
        values = load_parameters(self.file, overrides)
        values.setdefault("training", {})["dataset"] = [str(self.options.data)]
        return run_parameters(values, self.file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="names of parameter files in parameters/, or their paths")
    parser.add_argument("--data", type=Path, required=True, help="dataset; its splits are those of the parameter files, which must agree")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="training time of each run")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each training; its rate is measured with as many")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--validations", type=int, default=10, help="of each training")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes to all parameter files")
    parser.add_argument("--rate", nargs=2, help=argparse.SUPPRESS)  # what the process of a rate is told: parameter file, folder
    options = parser.parse_args()
    if options.rate:
        print(json.dumps(measure_rate(*map(Path, options.rate), options)))
        return
    files = [Path(model) if model.endswith(".yaml") else ROOT / "parameters" / f"{model}.yaml" for model in options.models]
    contenders = [Contender(file.stem, file, options) for file in files]
    check_comparable(contenders)
    options.output.mkdir(parents=True, exist_ok=True)
    rates = measured_rates(contenders)
    runs = [(contender, seed) for contender in contenders for seed in options.seeds]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda run: make_run(*run, rates[run[0].name]), runs))
    comparison = {
        "data": str(options.data),
        "minutes": options.minutes,
        "threads": options.threads,
        "device": options.device,
        "models": {c.name: summarise(rates[c.name], [r for (owner, _), r in zip(runs, results, strict=True) if owner == c]) for c in contenders},
    }
    (options.output / "comparison.json").write_text(json.dumps(comparison, indent=1) + "\n")
    table = to_markdown(comparison)
    (options.output / "comparison.md").write_text(table)
    print(table)


def check_comparable(contenders: Sequence[Contender]) -> None:
    """Losses and splits must be the same, or their numbers mean different things."""
    seen = [contender.parameters(contender.options.set) for contender in contenders]
    for contender, parameters in zip(contenders[1:], seen[1:], strict=True):
        for what, first, other in (("loss", seen[0].loss, parameters.loss), ("training.split", seen[0].training.split, parameters.training.split)):
            if first != other:
                raise ConfigError(f"{contender.file}: {what} differs from that of {contenders[0].file}: {other} and {first}; --set it for both")


def measured_rates(contenders: Sequence[Contender]) -> dict[str, dict[str, Any]]:
    """Seconds per step and so on of each model, measured one after the other unless that was done before."""
    options = contenders[0].options
    path = options.output / "rates.json"
    rates: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    for contender in contenders:
        settings = {"model": contender.parameters(options.set).resolved()["model"], "threads": options.threads, "device": options.device, "set": options.set}
        if rates.get(contender.name, {}).get("settings") != settings:
            if os.getloadavg()[0] > 0.5 and options.threads > 1:
                print(f"the machine is not idle (load {os.getloadavg()[0]:.1f}): the rate of {contender.name} will be too low", file=sys.stderr)
            words = ["--rate", contender.file, options.output / "rate", *option_words(options), contender.name]
            rates[contender.name] = {**json.loads(run([sys.executable, __file__, *words], options).splitlines()[-1]), "settings": settings}
            path.write_text(json.dumps(rates, indent=1) + "\n")
        rate = rates[contender.name]
        print(f"{contender.name}: {rate['events_per_second']:.3g} events/s, {rate['seconds_per_step']:.3g} s per step", flush=True)
    return rates


def option_words(options: argparse.Namespace) -> list[object]:
    words: list[object] = ["--data", options.data, "--output", options.output, "--minutes", options.minutes, "--threads", options.threads]
    return [*words, "--device", options.device, *(["--set", *options.set, "--"] if options.set else ["--"])]


def measure_rate(file: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Of a short training."""
    import torch
    from lightning.pytorch.callbacks import Callback

    from mlpf.training.run import train

    torch.set_num_threads(options.threads)
    ends, events = [], []
    clock = time.process_time if (options.device, options.threads) == ("cpu", 1) else time.perf_counter

    class Clock(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any) -> None:  # noqa: ARG002  # Lightning's signature
            if options.device == "gpu":
                torch.cuda.synchronize()
            ends.append(clock())
            events.append(len(batch.mask))

    accumulate = Contender(file.stem, file, options).parameters(options.set).training.accumulate
    steps = RATE_STEPS + RATE_WARMUP
    limits = ["training.epochs=1000000", f"training.max_steps={steps}", f"training.validation_steps={steps}", f"training.device={options.device}"]
    train(Contender(file.stem, file, options).parameters([*options.set, *limits]), folder, overwrite=True, callbacks=[Clock()])
    seconds = [end - start for start, end in pairwise(ends)][RATE_WARMUP * accumulate :]
    per_batch = statistics.median(seconds)
    return {"seconds_per_step": accumulate * per_batch, "events_per_second": statistics.mean(events) / per_batch}


def make_run(contender: Contender, seed: int, rate: Mapping[str, Any]) -> dict[str, Any]:
    """Train and evaluate, as far as that was not done; the numbers of the table."""
    options = contender.options
    steps = max(options.validations, round(60.0 * options.minutes / rate["seconds_per_step"]))
    overrides = [*options.set, "training.epochs=1000000", f"training.max_steps={steps}", f"training.validation_steps={-(-steps // options.validations)}"]
    overrides += [f"training.device={options.device}", f"training.seed={seed}"]
    folder, evaluation = options.output / f"{contender.name}_{seed}", options.output / f"{contender.name}_{seed}_evaluation"
    partial, trained = folder.with_name(f"{folder.name}.partial"), folder.is_dir()
    for place in (folder, partial):
        if place.is_dir() and (place / "parameters.yaml").is_file():
            check_same(place, contender.parameters(overrides))
    if not trained:
        if (partial / "checkpoints" / "last.ckpt").is_file():
            words: list[object] = ["--resume", folder]
        else:
            words = ["-p", contender.file, "--data", options.data, "--output", folder, "--overwrite", *overrides]
        print(f"{folder.name}: {steps} steps", flush=True)
        run([sys.executable, "-m", "mlpf.cli.main", "train", *words], options)
    if not (evaluation / "metrics.json").is_file():
        words = [f"{MODEL}={folder}", f"{DATASET}={options.data}", "--output", evaluation, "--device", "cuda" if options.device == "gpu" else "cpu"]
        run([sys.executable, "-m", "mlpf.cli.main", "evaluate", *words], options)
    return numbers_of(folder, evaluation)


def check_same(folder: Path, parameters: RunParameters) -> None:
    before, now = flatten(yaml.safe_load((folder / "parameters.yaml").read_text())), flatten(yaml.safe_load(yaml.safe_dump(parameters.resolved())))
    different = [f"{key} {before.get(key)}, not {now.get(key)}" for key in before | now if before.get(key) != now.get(key)]
    if different:
        raise ConfigError(f"{folder}: was trained with {', '.join(different)}; remove it, or choose another --output")


def run(words: Iterable[object], options: argparse.Namespace) -> str:
    """Standard output of a command."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "NUMBA_NUM_THREADS": str(options.threads), "GOMP_SPINCOUNT": "1000"}
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stderr}")
    return done.stdout


def numbers_of(folder: Path, evaluation: Path) -> dict[str, Any]:
    """Of one run: each number with the half width of its 68 % interval, where it has one; those of the references beside."""
    with (folder / "metrics.csv").open() as stream:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream)]
    best = min(rows, key=lambda row: row["validation/total"])
    with (folder / "steps.csv").open() as stream:
        events = sum(int(row["events"]) for row in csv.DictReader(stream))
    metrics = read_evaluation(evaluation).metrics["datasets"][DATASET]
    systems = {name: system_numbers(metrics, name) for name in metrics["systems"]}
    model = {**{name: (value, 0.0) for name, value in best.items() if name.startswith("validation/")}, **systems.pop(MODEL)}
    trained, info = load_model(folder)
    split = select_split(ShardedDataset(metrics["path"]), "train", info.split)
    found = {"num_parameters": num_parameters(trained), "epochs": events / len(split), "best_step": best["step"], "test_events": metrics["num_events"]}
    return {**found, "model": model, "references": systems}


def system_numbers(metrics: Mapping[str, Any], system: str) -> dict[str, tuple[float, float]]:
    """Number -> value and half width of its interval."""
    numbers = {}
    for group, classes in (("charged", CHARGED), ("neutral", NEUTRAL)):
        if system in metrics["particles"]:
            for quantity in ("efficiency", "fake_rate"):
                numbers[f"{group} {quantity.replace('_', ' ')}"] = pooled(metrics["particles"][system][quantity][name]["all"] for name in classes)
    response = metrics["jets"][system]["central"]["response"]["all"]
    numbers |= {"jet IQR/median": half_width(response["iqr_over_median"]), "jet median": half_width(response["median"])}
    numbers["MET IQR"] = half_width(metrics["met"][system]["residual"]["all"]["iqr"])
    return numbers


def pooled(fractions: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """A fraction of several classes together, and its binomial error."""
    counted = [entry for entry in fractions if entry["n"]]
    total = sum(entry["n"] for entry in counted)
    value = sum(entry["value"] * entry["n"] for entry in counted) / total
    return value, (value * (1.0 - value) / total) ** 0.5


def half_width(estimate: Mapping[str, Any]) -> tuple[float, float]:
    return estimate["value"], 0.5 * ((estimate["high"] or 0.0) - (estimate["low"] or 0.0))


def summarise(rate: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, standard deviations between them, uncertainties of the test events."""
    means = {}
    for name in runs[0]["model"]:
        values, errors = zip(*(run["model"][name] for run in runs), strict=True)
        means[name] = {"mean": statistics.mean(values), "between_seeds": statistics.stdev(values) if len(values) > 1 else None, "test_events": max(errors)}
    return {"rate": dict(rate), "num_seeds": len(runs), "runs": list(runs), "means": means}


def to_markdown(comparison: Mapping[str, Any]) -> str:
    """One row for each model, then the references and the uncertainty that all share."""
    models = comparison["models"]
    lines = [
        f"{comparison['minutes']:g} minutes of training on {comparison['threads']} threads ({comparison['device']}), {comparison['data']}\n",
        f"| model | parameters | epochs | events/s | {' | '.join(COLUMNS.values())} |",
        "|---|" + "--:|" * (3 + len(COLUMNS)),
    ]
    for name, model in models.items():
        first = model["runs"][0]
        cells = [with_error(model["means"][key]["mean"], model["means"][key]["between_seeds"]) if key in model["means"] else "" for key in COLUMNS]
        head = [name, f"{first['num_parameters']}", f"{first['epochs']:.3g}", f"{model['rate']['events_per_second']:.3g}"]
        lines.append(f"| {' | '.join([*head, *cells])} |")
    some = next(iter(models.values()))
    for reference, numbers in some["runs"][0]["references"].items():
        lines.append(f"| {reference} | | | | {' | '.join(with_error(*numbers[key]) if key in numbers else '' for key in COLUMNS)} |")
    errors = {key: some["means"][key]["test_events"] for key in COLUMNS if key in some["means"]}
    lines.append(f"| *± of the test events* | | | | {' | '.join(f'{errors[key]:.2g}' if errors.get(key) else '' for key in COLUMNS)} |")
    num_events = some["runs"][0]["test_events"]
    lines.append(f"\n± is the standard deviation between {some['num_seeds']} seeds (of references: the uncertainty of {num_events} test events).\n")
    return "\n".join(lines)


def with_error(value: float, error: float | None) -> str:
    return f"{value:.4g} ± {error:.1g}" if error else f"{value:.4g}"


if __name__ == "__main__":
    main()
