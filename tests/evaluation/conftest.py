import pytest

from mlpf.nn.message_passing import MessagePassingConfig
from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.saved import ModelInfo, save_model
from mlpf.samples.split import SplitConfig

CONFIG = GravNetConfig(width=16, num_layers=1, propagate_dim=8, num_neighbors=4)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Folder of a run whose model was initialised, but not trained."""
    import torch

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("run")
    split = SplitConfig(train=0.5, validation=0.1, test=0.4, seed=5)
    info = ModelInfo(model=CONFIG.model_dump(), dataset="work/random", dataset_fingerprint="0", split=split, seed=1, epoch=3, validation_loss=1.0)
    save_model(folder, build_model(CONFIG), info)
    return folder


@pytest.fixture(scope="session")
def edges_run(tmp_path_factory):
    """Folder of a run whose model works on the edges of the dataset; initialised, but not trained."""
    import torch

    torch.manual_seed(6)  # one with candidates for many elements
    folder = tmp_path_factory.mktemp("edges_run")
    config = MessagePassingConfig(graph="dataset", width=16, num_layers=2, message_dim=8)
    info = ModelInfo(model=config.model_dump(), dataset="work/random", dataset_fingerprint="0", split=SplitConfig(), seed=1, epoch=3, validation_loss=1.0)
    save_model(folder, build_model(config), info)
    return folder


@pytest.fixture(scope="session")
def onnx_file(run, tmp_path_factory):
    """The same model as an ONNX file."""
    from mlpf.export.exporter import export_model
    from mlpf.nn.saved import load_model

    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    model, info = load_model(run)
    export_model(model, path, info.model_dump(mode="json"))
    return path


@pytest.fixture(scope="session")
def fold_runs(tmp_path_factory):
    """Folder with the runs of three folds, initialised differently, but not trained."""
    import torch

    folder = tmp_path_factory.mktemp("folds")
    for fold in range(3):
        torch.manual_seed(fold)
        split = SplitConfig(folds=3, fold=fold, seed=5)
        info = ModelInfo(model=CONFIG.model_dump(), dataset="work/random", dataset_fingerprint="0", split=split, seed=fold, epoch=3, validation_loss=1.0)
        save_model(folder / f"run_{2 - fold}", build_model(CONFIG), info)
    return folder
