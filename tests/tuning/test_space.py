import optuna
import pytest

from mlpf.errors import ConfigError
from mlpf.training.config import run_parameters
from mlpf.tuning.config import Dimension, TuneConfig
from mlpf.tuning.space import base_values, check_space, flatten, suggest, with_values


def config(**search):
    return TuneConfig(search={key.replace("__", "."): value for key, value in search.items()})


@pytest.mark.parametrize(
    ("dimension", "seen"),
    [
        (Dimension(low=2, high=6, step=2), {2, 4, 6}),
        (Dimension(low=1, high=3), {1, 2, 3}),
        (Dimension(low=0.0, high=1.0, step=0.5), {0.0, 0.5, 1.0}),
        (Dimension(choices=["a", None, 3]), {"a", None, 3}),
    ],
)
def test_suggested_values_are_those_of_the_dimension(dimension, seen):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    assert {suggest(study.ask(), "key", dimension) for _ in range(40)} == seen


def test_a_logarithmic_dimension_is_flat_in_the_logarithm():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    values = [suggest(study.ask(), "key", Dimension(low=1e-4, high=1e-2, log=True)) for _ in range(200)]
    assert all(1e-4 <= value <= 1e-2 for value in values)
    assert sum(value < 1e-3 for value in values) / 200 == pytest.approx(0.5, abs=0.1)


def test_values_take_their_places_and_the_original_stays():
    parameters = {"model": {"width": 8}, "training": {"mlflow": None}}
    changed = with_values(parameters, {"model.width": 16, "training.mlflow.uri": "a", "loss.weights.pid": 2.0})
    assert changed == {"model": {"width": 16}, "training": {"mlflow": {"uri": "a"}}, "loss": {"weights": {"pid": 2.0}}}
    assert parameters == {"model": {"width": 8}, "training": {"mlflow": None}}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"model__widht": {"choices": [8]}}, r"a\.yaml: tune: search: model\.widht=8: model: unknown key 'widht'; did you mean 'width'"),
        ({"model__width": {"low": -8, "high": 64}}, r"search: model\.width=-8: model: width: .*greater than"),
        ({"training__precision": {"choices": ["float32", "float8"]}}, r"training\.precision=float8"),
        ({"simulation__process": {"choices": ["qcd"]}}, r"'simulation\.process': expected a key with its section, one of model, loss, training, scaling"),
        ({"model": {"choices": [8]}}, r"'model': expected a key with its section"),
    ],
)
def test_every_end_of_the_search_is_tried_before_the_first_trial(search, message):
    with pytest.raises(ConfigError, match=message):
        check_space({"model": {"width": 16}}, config(**search), "a.yaml")


def test_the_first_trial_has_the_parameters_as_they_are_where_the_search_allows():
    base = run_parameters({"model": {"width": 16}, "training": {"learning_rate": 0.5}})
    searched = config(
        model__width={"low": 8, "high": 64}, training__learning_rate={"low": 0.001, "high": 0.01}, training__average_decay={"choices": [None, 0.9]}
    )
    assert base_values(base, searched) == {"model.width": 16, "training.average_decay": None}


def test_flat_keys_are_dotted():
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}
