import json
import os

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from mlpf.errors import ConfigError, MissingDependencyError
from mlpf.testing import random_dataset
from mlpf.training.config import MlflowConfig, run_parameters
from mlpf.training.run import train
from mlpf.training.tracking import MAX_KEY, MAX_VALUE, MLFLOW_RUN, MlflowLogger, flatten, make_loggers, study_run

EXPERIMENT = "tests"
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow 3.17 with SQLAlchemy 2.1


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return random_dataset(tmp_path_factory.mktemp("data"), num_events=40, mean_elements=20.0)


def parameters(data, mlflow):
    training = {"dataset": str(data), "epochs": 2, "max_elements": 400, "device": "cpu", "figures": False, "mlflow": mlflow}
    return run_parameters({"model": {"name": "gravnet", "width": 8, "num_layers": 1, "num_neighbors": 4}, "training": training})


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An MLflow database with the tables made, which takes seconds."""
    mlflow = pytest.importorskip("mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.MlflowClient(uri).create_experiment(EXPERIMENT, artifact_location=str(folder / "artifacts"))
    return uri


@pytest.fixture
def client(database, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_PARENT_RUN_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return mlflow.MlflowClient(database)


@pytest.fixture
def logger(client, database, data, tmp_path):  # noqa: ARG001  # the client's fixture cleans the environment
    def make(name="run"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        chosen = parameters(data, {"uri": database, "experiment": EXPERIMENT})
        return make_loggers(folder, chosen.training, chosen)[1]

    return make


def test_tensorboard_is_always_there_and_mlflow_only_if_asked(data, tmp_path):
    chosen = parameters(data, None)
    (only,) = make_loggers(tmp_path, chosen.training, chosen)
    assert isinstance(only, TensorBoardLogger)
    assert only.log_dir == str(tmp_path / "tensorboard")


def test_a_missing_mlflow_is_one_clear_error(data, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    chosen = parameters(data, {})
    with pytest.raises(MissingDependencyError, match=r"pip install 'mlpf\[track\]'"):
        make_loggers(tmp_path, chosen.training, chosen)


def test_a_training_leaves_parameters_tags_curves_and_files(client, database, data, tmp_path):
    chosen = parameters(data, {"uri": database, "experiment": EXPERIMENT})
    folder = train(chosen, tmp_path / "my_run").folder
    run = client.get_run(json.loads((folder / MLFLOW_RUN).read_text())["run_id"])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "my_run")
    assert run.data.params["model.width"] == "8"
    assert run.data.params["training.split.train"] == "0.8"
    assert run.data.params["training.dataset"] == str(data)
    assert not any("sqlite" in value for value in run.data.params.values())  # an address may hold a password
    assert run.data.tags["dataset_fingerprint"] == json.loads((folder / "model.json").read_text())["dataset_fingerprint"]
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    expected = [(int(row[rows[0].index("step")]), float(row[rows[0].index("validation/total")])) for row in rows[1:]]
    curve = client.get_metric_history(run.info.run_id, "validation/total")
    assert [point.value for point in curve] == pytest.approx([loss for _, loss in expected], rel=1e-6)
    assert {"train/total", "learning_rate", "events_per_second"} <= set(run.data.metrics)
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"parameters.yaml", "model.safetensors", "model.json", "metrics.csv", "environment.json"} <= files
    assert not {"checkpoints", "tensorboard", MLFLOW_RUN} & files


def test_figures_are_stored_at_the_end(logger, client):
    own = logger()
    (own.folder / "plots").mkdir()
    (own.folder / "plots" / "confusion.png").write_bytes(b"picture")
    own.finalize("success")
    assert [file.path for file in client.list_artifacts(own.run_id, "plots")] == ["plots/confusion.png"]


def test_a_resumed_training_continues_its_run_and_a_failed_one_is_marked(logger, client):
    first = logger()
    first.log_metrics({"loss": 2.0}, 1)
    first.finalize("failed")
    assert client.get_run(first.run_id).info.status == "FAILED"
    second = logger()
    assert second.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "RUNNING"
    second.log_metrics({"loss": 1.0}, 2)
    second.finalize("success")
    assert [(point.step, point.value) for point in client.get_metric_history(first.run_id, "loss")] == [(1, 2.0), (2, 1.0)]
    assert client.get_run(first.run_id).info.status == "FINISHED"


def test_trials_are_children_of_their_study_which_is_found_again(logger, client, database):
    config = MlflowConfig(uri=database, experiment=EXPERIMENT)
    with study_run(config, "search") as study:
        first = logger("a")
        with study_run(config, "search") as again:  # another worker
            assert again == study
        second = logger("b")
    assert "MLFLOW_PARENT_RUN_ID" not in os.environ
    third = logger("c")
    parents = [client.get_run(own.run_id).data.tags.get("mlflow.parentRunId") for own in (first, second, third)]
    assert parents == [study, study, None]
    assert client.get_run(study).info.run_name == "search"
    with study_run(config, "another") as other:
        assert other != study


def test_a_training_inside_an_active_run_is_its_child(logger, client, database):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(database)
    mlflow.set_experiment(EXPERIMENT)
    try:
        with mlflow.start_run() as parent:
            own = logger()
    finally:
        mlflow.set_tracking_uri(None)
    assert client.get_run(own.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_the_run_that_mlflow_made_for_the_process_is_taken(logger, client, monkeypatch):
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    made = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    own = logger()
    assert own.run_id == made
    assert client.get_run(made).data.params["model.name"] == "gravnet"


def test_a_server_that_fails_later_is_one_warning_and_one_that_fails_at_once_an_error(logger, client, data, tmp_path):
    own = logger()
    client.delete_run(own.run_id)
    with pytest.warns(UserWarning, match=r"MLflow: .*; no more metrics go there, the run folder has them all") as caught:
        own.log_metrics({"loss": 1.0}, 1)
    assert len(caught) == 1
    own.log_metrics({"loss": 1.0}, 2)  # silent
    chosen = parameters(data, {"uri": "nonsense://nowhere"})
    with pytest.raises(ConfigError, match=r"training\.mlflow: nonsense://nowhere: "):
        MlflowLogger(tmp_path, chosen.training.mlflow, chosen)


@pytest.mark.usefixtures("client")
def test_other_processes_of_a_training_do_not_log(database, data, tmp_path, monkeypatch):
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    chosen = parameters(data, {"uri": database, "experiment": EXPERIMENT})
    own = make_loggers(tmp_path, chosen.training, chosen)[1]
    own.log_metrics({"loss": 1.0}, 1)
    own.finalize("success")
    assert own.run_id is None
    assert not (tmp_path / MLFLOW_RUN).exists()


def test_parameters_are_flat_texts_within_the_limits_of_mlflow():
    sections = {
        "model": {"name": "gravnet", "inner": {"width": 3, "none": None}},
        "mix": {"sources": [1, {"a": 2}], "empty": {}, "by_folder": {"/data/a b": 0.5}},
    }
    assert flatten(sections) == {
        "model.name": "gravnet",
        "model.inner.width": "3",
        "model.inner.none": "null",
        "mix.sources": '[1, {"a": 2}]',
        "mix.empty": "{}",
        "mix.by_folder": '{"/data/a b": 0.5}',
    }
    ((key, value),) = flatten({"a" * 300: "b" * 7000}).items()
    assert (len(key), len(value)) == (MAX_KEY, MAX_VALUE)


def test_the_limits_are_those_of_the_installed_mlflow():
    validation = pytest.importorskip("mlflow.utils.validation")
    assert validation.MAX_ENTITY_KEY_LENGTH >= MAX_KEY
    assert validation.MAX_PARAM_VAL_LENGTH >= MAX_VALUE


def test_the_trials_of_a_search_are_children_of_its_run(client, database, data, tmp_path):
    pytest.importorskip("optuna")
    from mlpf.tuning.run import tune

    training = {"dataset": str(data), "epochs": 1, "device": "cpu", "max_elements": 400, "mlflow": {"uri": database, "experiment": EXPERIMENT}}
    search = {"trials": 1, "search": {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}}
    tune({"model": {"name": "gravnet", "width": 8, "num_layers": 1, "num_neighbors": 4}, "training": training, "tune": search}, tmp_path / "my_study")
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    (study,) = [run for run in runs if run.info.run_name == "my_study"]
    (trial,) = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == study.info.run_id]
    assert (trial.info.run_name, trial.info.status) == ("0000", "FINISHED")
    assert "validation/total" in trial.data.metrics
