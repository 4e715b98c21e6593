import pytest

from mlpf.config import parse_section
from mlpf.errors import ConfigError
from mlpf.tuning.config import Dimension, TuneConfig


def parse(**tune):
    return parse_section({"tune": tune}, "tune", TuneConfig, "a.yaml")


def test_limits_may_be_written_as_yaml_reads_them():
    config = parse(search={"training.learning_rate": {"low": "1e-4", "high": 1e-2, "log": True}, "model.width": {"low": 32, "high": 64, "step": 16}})
    rate, width = config.search.values()
    assert (rate.low, rate.high, rate.is_whole) == (1e-4, 1e-2, False)  # PyYAML reads 1e-4 as a text
    assert width.is_whole
    assert Dimension(choices=["1e-4", "gravnet", 2, None]).choices == [1e-4, "gravnet", 2, None]


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        ({"low": 1}, "needs low and high, or choices"),
        ({"low": 2, "high": 1}, r"low \(2\) must be below high \(1\)"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log needs a low above 0, and no step"),
        ({"low": 1, "high": 4, "step": 0.5}, r"step \(0.5\) must be whole"),
        ({"low": 1.0, "high": float("inf")}, "finite number"),
        ({"low": float("nan"), "high": 1.0}, "finite number"),
        ({"choices": []}, "at least 1 item"),
        ({"choices": [1], "low": 1}, "choices stand alone"),
        ({"min": 1, "max": 2}, "unknown key 'search.model.width.min'"),
    ],
)
def test_a_dimension_that_makes_no_sense_is_refused(dimension, message):
    with pytest.raises(ConfigError, match=message):
        parse(search={"model.width": dimension})


def test_a_search_needs_something_to_vary():
    with pytest.raises(ConfigError, match=r"search: .*at least 1 item"):
        parse()


@pytest.mark.parametrize("key", ["loss.weights.pid", "training.element_weights.clip"])
def test_trials_of_different_losses_are_not_compared_by_their_sum(key):
    search = {key: {"low": 0.1, "high": 1.0}}
    with pytest.raises(ConfigError, match=f"{key} changes what validation/total means.*choose another metric"):
        parse(search=search)
    assert parse(search=search, metric="validation/pid_accuracy", direction="maximize")


def test_trials_on_different_validation_events_are_not_compared():
    with pytest.raises(ConfigError, match=r"training\.split\.train changes the events of the validation"):
        parse(search={"training.split.train": {"low": 0.5, "high": 0.8}}, metric="validation/pid_accuracy")


@pytest.mark.parametrize(
    ("dimension", "value", "holds"),
    [
        (Dimension(low=1, high=3), 3, True),
        (Dimension(low=1, high=3), 4, False),
        (Dimension(low=1, high=3), 2.5, False),
        (Dimension(low=0, high=1), True, False),
        (Dimension(low=0.1, high=0.5, step=0.1), 0.3, True),
        (Dimension(low=0.1, high=0.5, step=0.1), 0.35, False),
        (Dimension(choices=[None, 0.9]), None, True),
        (Dimension(choices=[1, 2]), True, False),
        (Dimension(choices=["gravnet"]), "window", False),
    ],
)
def test_a_dimension_knows_its_values(dimension, value, holds):
    assert dimension.holds(value) is holds
