import numpy as np
import pytest

from mlpf.errors import ModelError
from mlpf.evaluation.learning_curves import MAX_POINTS, read_learning_curves

STEPS = "step,epoch,gradient_norm,learning_rate,events,binary,total\n"
VALIDATIONS = "epoch,step,train/total,validation/binary_accuracy,validation/total,events_per_second\n"


def test_losses_are_means_over_events_and_validations_stand_at_their_steps(tmp_path):
    (tmp_path / "steps.csv").write_text(STEPS + "1,1,5,1e-3,3,1,10\n2,1,5,1e-3,1,2,20\n3,1,5,1e-3,2,3,30\n4,2,5")  # the last one cut short
    (tmp_path / "metrics.csv").write_text(VALIDATIONS + "1,2,12.5,0.5,11,100\n")
    curves = read_learning_curves(tmp_path)
    assert curves == {
        "step": [1, 2, 3],
        "train/binary": [1, 2, 3],
        "train/total": [10, 20, 30],
        "validation/binary_accuracy": [None, 0.5, None],
        "validation/total": [None, 11, None],
    }


def test_a_long_training_becomes_a_few_hundred_points_that_keep_the_mean(tmp_path):
    rng = np.random.default_rng(1)
    steps, events, loss = np.arange(1, 5001), rng.integers(1, 9, 5000), rng.random(5000)
    rows = [f"{s},1,1,1,{n},0,{x:.9g}\n" for s, n, x in zip(steps, events, loss, strict=True)]
    (tmp_path / "steps.csv").write_text(STEPS + "".join(rows))
    (tmp_path / "metrics.csv").write_text(VALIDATIONS + "".join(f"1,{step},1,1,{step},1\n" for step in (1234, 5000)))
    curves = read_learning_curves(tmp_path)
    assert MAX_POINTS <= len(curves["step"]) <= MAX_POINTS + 2
    assert {step: value for step, value in zip(curves["step"], curves["validation/total"], strict=True) if value is not None} == {1234: 1234, 5000: 5000}
    edges = [0, *curves["step"]]
    for i in (0, 57, len(curves["step"]) - 1):
        inside = (steps > edges[i]) & (steps <= edges[i + 1])
        assert curves["train/total"][i] == pytest.approx(np.average(loss[inside], weights=events[inside]), rel=1e-5)


def test_a_run_without_steps_has_the_means_between_its_validations(tmp_path):
    (tmp_path / "metrics.csv").write_text(VALIDATIONS + "1,2,12.5,0.5,11,100\n2,4,nan,0.6,10,100\n")
    (tmp_path / "steps.csv").write_text(STEPS)
    assert read_learning_curves(tmp_path) == {
        "step": [2, 4],
        "train/total": [12.5, None],
        "validation/binary_accuracy": [0.5, 0.6],
        "validation/total": [11, 10],
    }


def test_what_left_no_tables_has_no_curves(tmp_path):
    assert read_learning_curves(tmp_path) is None
    assert read_learning_curves(tmp_path / "model.onnx") is None


@pytest.mark.parametrize("content", [STEPS + "1,2\n3,x\n", "a,b\n1,2\n", STEPS + "1,1,5,1e-3,3,1,10\n2,1\n", "\xff\n1\n"])
def test_a_damaged_table_is_one_clear_error(tmp_path, content):
    (tmp_path / "steps.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelError, match=r"steps.csv: damaged \(.*\); restore it, or move it away"):
        read_learning_curves(tmp_path)
