import json

import pytest

from mlpf.errors import ModelError
from mlpf.export.training_record import training_record
from mlpf.nn.saved import ModelInfo
from mlpf.samples.split import SplitConfig

TABLE = """epoch,step,train/total,validation/binary,validation/total,events_per_second
1,10,3.5,0.5,2.5,100
1,20,3.0,0.25,1.5,100
2,30,2.5,0.125,1.75,100
"""


def info(epoch=1, step=20):
    return ModelInfo(
        model={"name": "toy"}, dataset="work/ttbar", dataset_fingerprint="f", split=SplitConfig(), seed=7, epoch=epoch, step=step, validation_loss=1.5
    )


def run(folder, table=TABLE, datasets='[{"path": "work/ttbar", "fingerprint": "f", "events": 50, "training": 40, "validation": 2}]'):
    (folder / "metrics.csv").write_text(table)
    (folder / "datasets.json").write_text(datasets)
    return folder


def test_the_losses_are_those_of_the_step_at_which_the_model_was_saved(tmp_path):
    record = training_record(run(tmp_path), info())
    assert record["validation"] == {"binary": 0.25, "total": 1.5}  # of 20, the best; not of the last
    assert record["datasets"] == [{"path": "ttbar", "fingerprint": "f", "events": 50, "training": 40, "validation": 2}]
    assert (record["seed"], record["epoch"], record["split"]["test"]) == (7, 1, SplitConfig().test)


def test_a_model_that_knows_no_step_has_the_last_row_of_its_epoch(tmp_path):
    assert training_record(run(tmp_path), info(step=None))["validation"]["binary"] == 0.25
    assert training_record(run(tmp_path), info(epoch=2, step=None))["validation"]["binary"] == 0.125


def test_a_model_without_its_tables_has_no_such_entries(tmp_path):
    assert set(training_record(tmp_path, info())) == set(info().model_dump())
    assert "validation" not in training_record(run(tmp_path), info(step=999))


@pytest.mark.parametrize("table", ["epoch,step,validation/total\n1,20,many\n", "epoch,validation/total\n1,2\n", "step,validation/total\n20\n"])
def test_a_damaged_table_is_named(tmp_path, table):
    with pytest.raises(ModelError, match=r"metrics\.csv: damaged .*move it away"):
        training_record(run(tmp_path, table), info())


@pytest.mark.parametrize("datasets", ["[{", '{"path": 1}', '["work/ttbar"]'])
def test_a_damaged_list_of_datasets_is_named(tmp_path, datasets):
    with pytest.raises(ModelError, match=r"datasets\.json: damaged"):
        training_record(run(tmp_path, datasets=datasets), info())


def test_the_record_is_json(tmp_path):
    record = training_record(run(tmp_path), info())
    assert json.loads(json.dumps(record)) == record
