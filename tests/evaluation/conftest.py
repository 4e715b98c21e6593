import numpy as np
import pytest

from mlpf import schema
from mlpf.candidates import Outputs, Prediction
from mlpf.evaluation.timing import Timing
from mlpf.events import Events, offsets_from_counts
from mlpf.features import consumer_elements
from mlpf.io.shards import ShardedDataset
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
    """The same model as an ONNX file, checked on two small events."""
    from mlpf.export.exporter import export_model
    from mlpf.nn.saved import load_model
    from mlpf.random_elements import random_elements

    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    model, info = load_model(run)
    export_model(model, path, info.model_dump(mode="json"), events=[random_elements(np.random.default_rng(n), n) for n in (3, 40)])
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


class TargetPredictor:
    """Says the targets with their momentum scaled, so that every number is known.

    Args:
        split: of its training, by default 40 % test.
        scale: of pt and energy.
    """

    default_split = "test"
    needs_edges = False

    def __init__(self, split=None, scale=1.0):
        self.split = split or SplitConfig(train=0.4, validation=0.2, test=0.4, seed=3)
        self.scale = scale
        self.description = {"model": "targets", "scale": str(scale)}
        self._timing = None

    def __call__(self, events):
        chosen = np.flatnonzero(events["target_class"])
        columns = {
            "mlpfcandidate_pt": self.scale * events["target_pt"][chosen],
            "mlpfcandidate_eta": events["target_eta"][chosen],
            "mlpfcandidate_phi": np.arctan2(events["target_sin_phi"], events["target_cos_phi"])[chosen],
            "mlpfcandidate_energy": self.scale * events["target_energy"][chosen],
            "mlpfcandidate_pdgid": events["target_class"][chosen],
            "mlpfcandidate_element": events["element_index"][chosen],
            "mlpfcandidate_pileup": np.zeros(len(chosen)),
            **{name: events[name] for name in ("event", "run", "lumi")},
        }
        counts = np.diff(np.searchsorted(chosen, events.offsets["element"]))
        candidates = Events(columns, {"mlpfcandidate": offsets_from_counts(counts)}, len(events), layout=schema.CANDIDATES)
        self._timing = (self._timing or Timing("cpu", 1, "abacus")) + self._timed(events)
        return Prediction(candidates, self._outputs(events))

    def _timed(self, events):
        timing = Timing("cpu", 1, "abacus")
        timing.add(events.counts("element"), 1e-3 * len(events))
        return timing

    def _outputs(self, events):
        category = events["target_class"][consumer_elements(events["element_type"])]
        binary = np.stack([np.zeros(len(category)), np.where(category > 0, 5.0, -5.0)], axis=1)
        return Outputs(binary, 5.0 * (category[:, None] == np.array(schema.CLASS_IDS)), np.zeros((len(category), 5)), np.full(len(category), -5.0))

    def take_timing(self):
        taken, self._timing = self._timing or Timing("cpu", 1, "abacus"), None
        return taken


@pytest.fixture(scope="session")
def target_predictor():
    """`TargetPredictor`."""
    return TargetPredictor


@pytest.fixture
def without_figures(monkeypatch):
    """Figures and report take seconds; the report is an empty file."""
    monkeypatch.setattr("mlpf.evaluation.folder.draw_summary", lambda *_: ["jets"])
    monkeypatch.setattr("mlpf.evaluation.folder.write_report", lambda path, *_: path.write_text("report"))


@pytest.fixture
def other_dataset(random_dataset, write_dataset):
    return ShardedDataset(write_dataset(random_dataset(40, 30, seed=1), "other"))
