"""Who writes down a training beside the run folder's own files: TensorBoard always, MLflow if asked (extra ``track``)."""

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger, TensorBoardLogger

import mlpf
from mlpf.errors import ConfigError, MissingDependencyError
from mlpf.io.files import write_text
from mlpf.io.shards import ShardedDataset, fingerprint
from mlpf.training.config import MlflowConfig, RunParameters, TrainingConfig
from mlpf.training.environment import environment_record

MLFLOW_RUN = "mlflow.json"  # in the run folder: which MLflow run it is, so that a resumed training continues it
PARENT_VARIABLE = "MLFLOW_PARENT_RUN_ID"  # environment variable: run whose child a new one becomes
STUDY_TAG = "mlpf.study"
MAX_KEY, MAX_VALUE, MAX_PARAMETERS = 250, 6000, 100  # MLflow's limits of a parameter's name, its value [characters], and of parameters per call


def make_loggers(folder: Path, config: TrainingConfig, parameters: RunParameters, resumed_step: int | None = None) -> list[Logger]:
    """Loggers for `lightning.Trainer`.

    Args:
        folder: the run folder, in which TensorBoard's events go to ``tensorboard/``.
        config: the ``training`` section.
        parameters: all sections, which MLflow gets as parameters.
        resumed_step: after which the training goes on, if it does; TensorBoard then hides what was written of later steps.

    Raises:
        MissingDependencyError: ``training.mlflow`` is set and MLflow is not installed.
        ConfigError: MLflow's server does not answer, or does not know the run to continue.
    """
    loggers: list[Logger] = [TensorBoardLogger(folder, name="", version="tensorboard", purge_step=None if resumed_step is None else resumed_step + 1)]
    if config.mlflow is not None:
        loggers.append(MlflowLogger(folder, config.mlflow, parameters))
    return loggers


class MlflowLogger(Logger):
    """Parameters, tags, metrics and, at the end, the files of a run folder in a run of MLflow.

    The run is, in this order: the one that the folder belongs to already; a new child of the active run or of ``MLFLOW_PARENT_RUN_ID`` (a study's trials);
    the one that ``mlflow run`` made for this process (``MLFLOW_RUN_ID``); a new one.

    A server that stops answering does not stop the training: one warning, then only the run folder has the metrics. Only the first of several processes logs.

    Args:
        folder: the run folder.
        config: server and experiment.
        parameters: all sections of the training.
    """

    def __init__(self, folder: Path, config: MlflowConfig, parameters: RunParameters) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.run_id: str | None = None
        self._works = True
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            self._client = mlflow_client(config)
            with _clear_errors(config):
                self.run_id = self._open_run()
                self._describe(parameters)
            write_text(folder / MLFLOW_RUN, json.dumps({"run_id": self.run_id}) + "\n")

    @property
    def name(self) -> str:
        """Experiment."""
        return self.config.experiment

    @property
    def version(self) -> str | None:
        """Run."""
        return self.run_id

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append points to the curves."""
        from mlflow.entities import Metric

        if self._works:
            now = int(1000 * time.time())
            self._try(lambda: self._client.log_batch(self.run_id, metrics=[Metric(name, float(value), now, step or 0) for name, value in metrics.items()]))

    def log_hyperparams(self, *_: object, **__: object) -> None:
        """Nothing: MLflow has had all parameters from the start."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Store the run folder's files (no checkpoints, no events of TensorBoard) and close the run."""
        self._works = True  # the server may be back
        self._try(self._store_files)
        self._try(lambda: self._client.set_terminated(self.run_id, "FINISHED" if status == "success" else "FAILED"))

    def _open_run(self) -> str:
        marker = self.folder / MLFLOW_RUN
        own = json.loads(marker.read_text())["run_id"] if marker.is_file() else None
        parent = _parent_run()
        given = own or (None if parent else os.environ.get("MLFLOW_RUN_ID"))
        if given:
            self._client.update_run(given, status="RUNNING")
            return str(given)
        experiment = self._client.get_run(parent).info.experiment_id if parent else _experiment(self._client, self.config)
        tags = {"mlflow.parentRunId": parent} if parent else {}
        run = self._client.create_run(experiment, tags=tags, run_name=self.folder.name.removesuffix(".partial"))
        return str(run.info.run_id)

    def _describe(self, parameters: RunParameters) -> None:
        from mlflow.entities import Param, RunTag

        known = self._client.get_run(self.run_id).data.params  # they cannot be changed once set
        wanted = flatten(parameters._replace(training=parameters.training.model_copy(update={"mlflow": None})).resolved())  # an address may hold a password
        values = [Param(name, value) for name, value in wanted.items() if name not in known]
        for first in range(0, len(values), MAX_PARAMETERS):
            self._client.log_batch(self.run_id, params=values[first : first + MAX_PARAMETERS])
        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in _tags(parameters.training).items()])

    def _store_files(self) -> None:
        for path in sorted(self.folder.iterdir()):
            if path.is_file() and path.name != MLFLOW_RUN and not path.name.startswith("."):
                self._client.log_artifact(self.run_id, str(path))
        if (self.folder / "plots").is_dir():
            self._client.log_artifacts(self.run_id, str(self.folder / "plots"), "plots")

    def _try(self, call: Callable[[], object]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            call()
        except (MlflowException, OSError) as error:
            self._works = False
            warnings.warn(f"MLflow: {_one_line(error)}; no more metrics go there, the run folder has them all", stacklevel=2)


@contextmanager
def study_run(config: MlflowConfig, name: str) -> Iterator[str]:
    """Inside this block new runs are children of the study's own, which is made at its first use and found again later, also by other workers.

    Yields:
        the id of the study's run.
    """
    client = mlflow_client(config)
    with _clear_errors(config):
        experiment = _experiment(client, config)
        found = client.search_runs([experiment], f"tags.`{STUDY_TAG}` = '{name}'", max_results=1, order_by=["attributes.start_time"])
        run_id = str((found[0] if found else client.create_run(experiment, tags={STUDY_TAG: name}, run_name=name)).info.run_id)
        client.update_run(run_id, status="RUNNING")
    before = os.environ.get(PARENT_VARIABLE)
    os.environ[PARENT_VARIABLE] = run_id
    try:
        yield run_id
    finally:
        os.environ.pop(PARENT_VARIABLE)
        if before is not None:
            os.environ[PARENT_VARIABLE] = before
        with _clear_errors(config):
            client.set_terminated(run_id)


def mlflow_client(config: MlflowConfig) -> Any:
    """A client of the configured server, or of MLflow's default.

    Raises:
        MissingDependencyError: MLflow is not installed.
        ConfigError: nobody answers there, or the address is of no known kind.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else MLflow 3 tells its makers of every use
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")  # half a minute in all; the 7 of MLflow would hold up the training for 4 minutes
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise MissingDependencyError(f"training.mlflow needs MLflow ({error}); pip install 'mlpf[track]', or leave training.mlflow out") from error
    with _clear_errors(config):
        return MlflowClient(config.uri)


def flatten(sections: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as MLflow keeps them: dotted keys -> texts, both cut where they are too long; lists, and mappings of other things than keys, in JSON."""
    flat: dict[str, str] = {}
    for name, value in sections.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and all(str(inner).isidentifier() for inner in value):
            flat |= flatten(value, f"{key}.")
        else:
            flat[key[:MAX_KEY]] = (value if isinstance(value, str) else json.dumps(value))[:MAX_VALUE]
    return flat


def _tags(config: TrainingConfig) -> dict[str, str]:
    """What a run was made with: code, machine and data."""
    record = environment_record()
    git = record["git"] or {}
    tags = {
        "mlflow.source.git.commit": git.get("commit"),
        "git.dirty": git.get("dirty"),
        "dataset_fingerprint": fingerprint(*(ShardedDataset(folder) for folder in config.datasets)),
        "cpu": record["cpu"]["model"],
        "gpu": ", ".join(record["gpu"]),
        "mlpf": mlpf.__version__,
        "torch": record["versions"]["torch"],
    }
    return {name: str(value) for name, value in tags.items() if value not in (None, "")}


def _parent_run() -> str | None:
    """The run that is active in this process, or that the environment names."""
    import mlflow

    active = mlflow.active_run()
    return active.info.run_id if active else os.environ.get(PARENT_VARIABLE)


def _experiment(client: Any, config: MlflowConfig) -> str:
    """Id of the experiment, made where it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(config.experiment)
    if found is None:
        try:
            return str(client.create_experiment(config.experiment))
        except MlflowException:  # another worker was faster
            found = client.get_experiment_by_name(config.experiment)
            if found is None:
                raise
    return str(found.experiment_id)


@contextmanager
def _clear_errors(config: MlflowConfig) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        place = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or "the default of MLflow"
        raise ConfigError(f"training.mlflow: {place}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
