"""The search: trial after trial, until the study has enough of them."""

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from mlpf.config import parse_section
from mlpf.errors import ConfigError, ModelError
from mlpf.io.files import writing
from mlpf.io.shards import ShardedDataset, fingerprint
from mlpf.training.config import RunParameters, run_parameters
from mlpf.training.run import train
from mlpf.training.tracking import study_run
from mlpf.tuning.config import TuneConfig
from mlpf.tuning.judge import Judge
from mlpf.tuning.results import write_results
from mlpf.tuning.space import base_values, check_space, suggest, with_values
from mlpf.tuning.study import Study, open_study
from mlpf.tuning.with_optuna import quiet_optuna


def tune(
    parameters: Mapping[str, Any],
    folder: str | Path,
    source: str | Path = "parameters",
    report: Callable[[str], None] = lambda _: None,
    bar: Progress | None = None,
) -> Study:
    """Make a study, or help with one; several processes may do so at once, each with one training at a time.

    The first trial has the parameters as they are, as far as the search allows. Beside what `mlpf.tuning.study` names, the folder gets the results after each
    trial, see `mlpf.tuning.results`.

    Args:
        parameters: what `load_parameters` returned, with a section ``tune``.
        folder: of the study.
        source: where the parameters come from, for messages.
        report: receives one line per thing worth saying.
        bar: shows how far the study and its current training are.

    Returns:
        the study.

    Raises:
        MissingDependencyError: Optuna is not installed.
        ConfigError: a parameter or the search is wrong, or the study was made with others.
        MlpfError: too many trials failed, or the folder cannot be used.

    Whatever else a training raises ends the search, too; its values are then those of a later trial.
    """
    config = parse_section(parameters, "tune", TuneConfig, source)
    base = check_space(parameters, config, source)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("mlpf tune trains on one device; start it once for each (CUDA_VISIBLE_DEVICES=0 mlpf tune ... &) instead of by torchrun")
    data = fingerprint(*map(ShardedDataset, base.training.datasets))
    stop_at = time.monotonic() + 60.0 * (config.timeout_minutes or math.inf)
    mlflow = base.training.mlflow
    with quiet_optuna() as optuna, study_run(mlflow, Path(folder).name) if mlflow else nullcontext():
        study = open_study(Path(folder), config, {**base.resolved(), "dataset_fingerprint": data}, base_values(base, config), optuna)
        search = _Search(study, parameters, source, report, bar)
        with writing(study.folder):  # the journal, which Optuna writes
            while (trial := study.next_trial(stop_at)) is not None:
                search.run(trial)
                write_results(study, parameters)
            write_results(study, parameters)
    return study


class _Search:
    """Runs trials of a study."""

    def __init__(self, study: Study, parameters: Mapping[str, Any], source: str | Path, report: Callable[[str], None], bar: Progress | None) -> None:
        self.study = study
        self.parameters = parameters
        self.source = source
        self.report = report
        self.bar = bar
        self.task = bar.add_task("trials", total=study.config.trials) if bar else None

    def run(self, trial: Any) -> None:
        """Train, and enter how that went."""
        from optuna import TrialPruned
        from optuna.exceptions import UpdateFinishedTrialError

        study, config = self.study, self.study.config
        judge = Judge(trial, config.metric, config.direction)
        try:
            train(self._parameters_of(trial), study.run_folder(trial.number), bar=self.bar, callbacks=[judge])
            if judge.best is None:
                raise ModelError(f"{config.metric} was not finite at any of {judge.num_validations} validations")
        except TrialPruned as pruned:
            study.prune(trial, str(pruned))
        except UpdateFinishedTrialError:
            self.report(f"trial {trial.number}: gave no sign of life for too long, others do it again")
        except BaseException as error:
            if not (isinstance(error, ModelError) or _is_out_of_memory(error)):
                study.give_up(trial)
                raise
            study.fail(trial, str(error))
        else:
            study.complete(trial, judge.best)
        self._report(trial.number)

    def _parameters_of(self, trial: Any) -> RunParameters:
        from optuna import TrialPruned

        values = {key: suggest(trial, key, dimension) for key, dimension in self.study.config.search.items()}
        self.report(f"trial {trial.number}: {describe(values)}")
        try:
            return run_parameters(with_values(self.parameters, values), self.source)
        except ConfigError as error:  # values that are valid alone, but not together: the sampler learns to avoid them, as from other pruned trials
            raise TrialPruned(str(error)) from error

    def _report(self, number: int) -> None:
        rows, best = self.study.rows(), self.study.best()
        row = rows[number]
        how = f"{row.state} after {row.num_validations} validations" + (f", {row.failure}" if row.failure else "")
        value = "" if row.value is None else f", {self.study.config.metric} {row.value:.5g}"
        self.report(f"trial {number}: {how}{value}" + (f"; best {best.value:.5g}, trial {best.number}" if best else ""))
        if self.bar is not None and self.task is not None:
            for task in [task for task in self.bar.task_ids if task != self.task]:  # of the training
                self.bar.remove_task(task)
            self.bar.update(self.task, completed=sum(row.state in ("complete", "pruned", "failed") for row in rows))


def _is_out_of_memory(error: BaseException) -> bool:
    """On the CPU, torch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def describe(values: Mapping[str, Any]) -> str:
    """Values of a trial as overrides of the command line, floats to four digits."""
    return " ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items())
