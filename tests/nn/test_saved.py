import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlpf.errors import ModelError
from mlpf.io.model_file import DESCRIPTION, MODEL_FILE, read_header
from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.saved import INFO, ModelInfo, load_model, read_info, save_model
from mlpf.samples.split import SplitConfig
from mlpf.testing import random_features


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = GravNetConfig(width=8, num_layers=1)
    model = build_model(config)
    model.preprocess.fit(torch.from_numpy(random_features(50)))
    info = ModelInfo(model=config.model_dump(), dataset="d", dataset_fingerprint="f", split=SplitConfig(seed=4), seed=1, epoch=3, validation_loss=0.5)
    save_model(folder, model, info)
    return folder, model.eval(), info


@pytest.fixture
def saved(written, tmp_path):
    folder, model, info = written
    return shutil.copytree(folder, tmp_path / "run"), model, info


def test_a_loaded_model_gives_the_same_numbers_and_knows_its_origin(saved):
    folder, model, info = saved
    loaded, loaded_info = load_model(folder)
    x, mask = torch.from_numpy(random_features(20))[None], torch.ones(1, 20)
    assert all(torch.equal(a, b) for a, b in zip(model(x, mask), loaded(x, mask), strict=True))
    assert not loaded.training
    assert loaded_info.model_copy(update={"weights_sha256": ""}) == info


def test_the_file_alone_is_the_model_and_the_description_beside_it_a_copy(saved):
    folder = saved[0]
    assert ModelInfo.model_validate_json((folder / INFO).read_text()) == read_info(folder)
    (folder / INFO).write_text("{")
    assert load_model(folder)[1].epoch == 3
    (folder / INFO).unlink()
    assert load_model(folder)[1].epoch == 3


class PowerCutError(BaseException):
    pass


def test_a_kill_between_weights_and_description_leaves_the_new_model(saved, monkeypatch):
    folder, model, info = saved

    def killed(*_):
        raise PowerCutError

    monkeypatch.setattr("mlpf.nn.saved.write_text", killed)
    with pytest.raises(PowerCutError):
        save_model(folder, model, info.model_copy(update={"epoch": 4}))
    assert load_model(folder)[1].epoch == 4
    assert json.loads((folder / INFO).read_text())["epoch"] == 3  # until the next epoch writes it


def test_a_kill_during_the_write_leaves_the_earlier_model(saved, monkeypatch):
    folder, model, info = saved

    def killed(temporary):
        assert temporary.stat().st_size
        raise PowerCutError

    monkeypatch.setattr("mlpf.nn.saved.flush_to_disk", killed)
    with pytest.raises(PowerCutError):
        save_model(folder, model, info.model_copy(update={"epoch": 4}))
    assert load_model(folder)[1].epoch == 3
    assert {path.name for path in folder.iterdir()} == {MODEL_FILE, INFO}


def test_weights_that_share_memory_or_are_transposed_are_saved(saved):
    folder, _, info = saved
    model = build_model(GravNetConfig(width=8, num_layers=1))
    first, second = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module.weight.shape[0] == module.weight.shape[1]][:2]
    first.weight = second.weight
    second.bias.data = torch.arange(16.0)[::2]
    save_model(folder, model, info)
    loaded = load_model(folder)[0].state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in model.state_dict().items())


def test_others_may_read_a_model_as_they_may_read_other_files(saved):
    assert (saved[0] / MODEL_FILE).stat().st_mode == (saved[0] / INFO).stat().st_mode


def test_a_folder_without_a_model_is_reported(tmp_path):
    with pytest.raises(ModelError, match="holds no trained model"):
        load_model(tmp_path)


def test_a_model_of_a_version_that_pickled_is_refused_with_a_remedy(tmp_path):
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"holds model\.pt of an earlier version.*train the model again"):
        load_model(tmp_path)


def test_a_model_of_another_schema_is_refused(saved):
    folder, model, info = saved
    save_model(folder, model, info.model_copy(update={"schema_digest": "0123"}))
    with pytest.raises(ModelError, match="made for schema 0123"):
        load_model(folder)


def test_weights_of_another_model_are_refused(saved):
    folder, _, info = saved
    save_model(folder, build_model(GravNetConfig(width=16, num_layers=1)), info)
    with pytest.raises(ModelError, match="do not fit the model"):
        load_model(folder)


def test_every_cut_of_the_file_is_one_clear_error(saved):
    path = saved[0] / MODEL_FILE
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for length in (0, 1, 7, 8, 9, header // 2, header - 1, header, header + 1, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"model\.safetensors: damaged"):
            load_model(saved[0])


def test_a_flipped_bit_anywhere_is_one_clear_error(saved):
    path = saved[0] / MODEL_FILE
    content = path.read_bytes()
    for position in range(0, len(content), 397):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :])
        try:
            info = load_model(saved[0])[1]
        except ModelError:
            continue
        # what the flip changed is a value of the description; the weights are right
        assert position < 8 + int.from_bytes(content[:8], "little")
        assert info.weights_sha256 == json.loads((saved[0] / INFO).read_text())["weights_sha256"]


@pytest.mark.parametrize(
    "content",
    [
        b"hello, this is text",
        bytes(64),
        b"\xff" * 64,
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"[[]]",
    ],
)
def test_foreign_bytes_and_huge_headers_are_one_clear_error(tmp_path, content):
    (tmp_path / MODEL_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors: damaged"):
        load_model(tmp_path)


def test_tensors_of_another_program_are_one_clear_error(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / MODEL_FILE, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no model of mlpf: KeyError"):
        load_model(tmp_path)
    save_file({"weight": torch.zeros(2)}, tmp_path / MODEL_FILE, metadata={DESCRIPTION: '{"model": 3}'})
    with pytest.raises(ModelError, match="described as no model of this version"):
        load_model(tmp_path)


def test_other_programs_read_the_tensors_and_the_header_names_them_all(saved):
    folder, model, _ = saved
    tensors = load_file(folder / MODEL_FILE)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == read_header(folder).shapes
    assert set(tensors) == set(model.state_dict())
