import json

import pytest
import torch

from mlpf.errors import ModelError
from mlpf.io.files import sha256
from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.saved import INFO, WEIGHTS, ModelInfo, load_model, save_model
from mlpf.samples.split import SplitConfig
from mlpf.testing import random_features


@pytest.fixture
def saved(tmp_path):
    config = GravNetConfig(width=8, num_layers=1)
    model = build_model(config)
    model.preprocess.fit(torch.from_numpy(random_features(50)))
    info = ModelInfo(model=config.model_dump(), dataset="d", dataset_fingerprint="f", split=SplitConfig(seed=4), seed=1, epoch=3, validation_loss=0.5)
    save_model(tmp_path, model, info)
    return tmp_path, model.eval(), info


def test_a_loaded_model_gives_the_same_numbers_and_knows_its_origin(saved):
    folder, model, info = saved
    loaded, loaded_info = load_model(folder)
    x, mask = torch.from_numpy(random_features(20))[None], torch.ones(1, 20)
    assert all(torch.equal(a, b) for a, b in zip(model(x, mask), loaded(x, mask), strict=True))
    assert not loaded.training
    assert loaded_info.model_copy(update={"weights_sha256": ""}) == info


def test_a_folder_without_a_model_is_reported(tmp_path):
    with pytest.raises(ModelError, match="holds no trained model"):
        load_model(tmp_path)


def test_a_model_of_another_schema_is_refused(saved):
    content = json.loads((saved[0] / INFO).read_text())
    (saved[0] / INFO).write_text(json.dumps({**content, "schema_digest": "0123"}))
    with pytest.raises(ModelError, match="made for schema 0123"):
        load_model(saved[0])


def test_damaged_weights_are_refused(saved):
    with (saved[0] / WEIGHTS).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match=r"not the weights that model\.json describes"):
        load_model(saved[0])


def test_weights_of_another_model_are_refused(saved):
    folder, _, info = saved
    other = GravNetConfig(width=16, num_layers=1)
    save_model(folder, build_model(other), info)
    with pytest.raises(ModelError, match="does not fit the model"):
        load_model(folder)


def test_foreign_bytes_with_the_right_checksum_are_refused(saved):
    folder = saved[0]
    (folder / WEIGHTS).write_bytes(b"hello")
    content = json.loads((folder / INFO).read_text())
    (folder / INFO).write_text(json.dumps({**content, "weights_sha256": sha256(folder / WEIGHTS)}))
    with pytest.raises(ModelError, match="does not fit the model"):
        load_model(folder)


def test_a_damaged_description_is_refused(saved):
    (saved[0] / INFO).write_text("{")
    with pytest.raises(ModelError, match="not a model description"):
        load_model(saved[0])
