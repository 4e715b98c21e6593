import pytest
import torch

from mlpf.errors import ModelError
from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.saved import ModelInfo, load_weights, save_model
from mlpf.samples.split import SplitConfig
from mlpf.testing import random_features
from mlpf.training.initialize import initialize_from

SMALL = GravNetConfig(width=8, num_layers=1)


def saved(folder, config):
    model = build_model(config)
    model.preprocess.fit(torch.from_numpy(random_features(50)))
    info = ModelInfo(model=config.model_dump(), dataset="d", dataset_fingerprint="f", split=SplitConfig(), seed=1, epoch=3, validation_loss=0.5)
    save_model(folder, model, info)
    return folder, model


def test_a_model_of_the_same_kind_becomes_the_trained_one_with_its_scaling(tmp_path):
    folder, trained = saved(tmp_path / "run", SMALL)
    model = build_model(SMALL)
    report = initialize_from(model, folder)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in trained.state_dict().items())
    assert set(report.copied) == set(trained.state_dict())
    assert "preprocess.shift" in report.copied
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], [])
    checksum = load_weights(folder)[1].weights_sha256
    assert str(report) == f"initialised from run, epoch 3, weights {checksum[:16]}: {len(report.copied)} tensors, 100 % of the numbers"


def test_what_does_not_fit_is_listed_and_left_alone(tmp_path):
    folder, trained = saved(tmp_path / "run", SMALL)
    model = build_model(GravNetConfig(width=8, num_layers=2, propagate_dim=16))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = initialize_from(model, folder)
    after, there = model.state_dict(), trained.state_dict()
    mismatched = [line.split()[0] for line in report.mismatched]
    assert set(report.copied) | set(mismatched) == set(there)
    assert set(report.copied) | set(mismatched) | set(report.missing) == set(after)
    assert all(torch.equal(after[name], there[name]) for name in report.copied)
    assert all(torch.equal(after[name], before[name]) for name in (*mismatched, *report.missing))
    assert all(there[name].shape != after[name].shape for name in mismatched)
    assert all(".1." in name for name in report.missing)  # of the second layer
    assert mismatched
    assert f"new here ({len(report.missing)}): layers.1." in str(report)
    assert f"of another shape, new here ({len(mismatched)}): {report.mismatched[0]}" in str(report)
    assert report.num_copied == sum(after[name].numel() for name in report.copied) < report.num_numbers


def test_tensors_that_the_new_model_lacks_are_listed(tmp_path):
    folder, _ = saved(tmp_path / "run", GravNetConfig(width=8, num_layers=2))
    report = initialize_from(build_model(SMALL), folder)
    assert report.unexpected == [name for name in load_weights(folder)[0] if name.startswith(("layers.1.", "norms.1."))]
    assert len(report.unexpected) > 6
    assert f"not used ({len(report.unexpected)}): layers.1." in str(report)
    assert str(report).endswith(f" and {len(report.unexpected) - 6} more")


def test_a_model_of_which_only_the_scaling_fits_is_an_error_and_changes_nothing(tmp_path):
    folder, _ = saved(tmp_path / "run", SMALL)
    model = build_model(SMALL)
    for module in model.modules():  # a model of quite another size
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(torch.zeros(weight.shape[0] + 1)))
    before = model.preprocess.shift.clone()
    with pytest.raises(ModelError, match=r"run: none of the weights of its model \(gravnet\) fits the new one"):
        initialize_from(model, folder)
    assert torch.equal(model.preprocess.shift, before)


def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="holds no trained model"):
        initialize_from(build_model(SMALL), tmp_path)
