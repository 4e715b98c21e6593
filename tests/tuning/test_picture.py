import pytest
from matplotlib import image

from mlpf.tuning.config import TuneConfig
from mlpf.tuning.picture import draw_study
from mlpf.tuning.study import TrialRow

CONFIG = TuneConfig(
    search={
        "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "model.num_layers": {"low": 1, "high": 4},
        "model.name": {"choices": ["a", None]},
    }
)


def row(number, state, value, **values):
    return TrialRow(number, state, value, 3, 1.0, {"training.learning_rate": 1e-3, "model.num_layers": 2, "model.name": "a", **values}, "")


@pytest.mark.parametrize("importances", [{}, {"model.num_layers": 0.7, "model.name": 0.2, "training.learning_rate": 0.1}])
def test_a_study_of_every_kind_of_trial_and_key_is_drawn(tmp_path, importances):
    rows = [
        row(0, "complete", 1.0),
        row(1, "pruned", 1e9, **{"model.name": None}),
        row(2, "failed", None),
        row(3, "lost", None),
        row(4, "complete", 0.5, **{"model.num_layers": 4}),
        row(5, "running", None),
    ]
    draw_study(rows, CONFIG, importances, tmp_path / "a.png")
    assert image.imread(tmp_path / "a.png")[..., :3].std() > 0.05  # something is there


def test_one_trial_and_one_key_are_enough(tmp_path):
    draw_study([row(0, "complete", 0.0)], TuneConfig(search={"model.name": {"choices": ["a", "b"]}}, direction="maximize"), {}, tmp_path / "a.svg")
    assert "too few trials" in (tmp_path / "a.svg").read_text()
