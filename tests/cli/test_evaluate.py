import json

import pytest

from mlpf.nn.model import GravNetConfig, build_model
from mlpf.nn.saved import ModelInfo, save_model
from mlpf.samples.split import SplitConfig


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Folder of a run whose model was initialised, but not trained; with the losses of a training."""
    import torch

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    config = GravNetConfig(width=16, num_layers=1, propagate_dim=8, num_neighbors=4)
    split = SplitConfig(train=0.5, validation=0.1, test=0.4, seed=5)
    info = ModelInfo(model=config.model_dump(), dataset="work/random", dataset_fingerprint="0", split=split, seed=1, epoch=3, validation_loss=1.0)
    save_model(folder, build_model(config), info)
    (folder / "metrics.csv").write_text("epoch,step,train/total,validation/total\n1,10,2.5,2.25\n2,20,1.5,1.75\n")
    return folder


@pytest.fixture
def datasets(random_dataset, write_dataset):
    return [write_dataset(random_dataset(60, 20, seed=seed), name) for seed, name in enumerate(("ttbar", "qcd"))]


def test_a_run_on_a_dataset(mlpf_cli, run, datasets, tmp_path):
    out = tmp_path / "out"
    status, output, errors = mlpf_cli("evaluate", run, datasets[0], "--output", out)
    assert status == 0, errors
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json", "performance.json", "plots", "predictions.parquet", "report.html", "sums", "timing"
    ]  # fmt: skip
    entry = json.loads((out / "metrics.json").read_text())["datasets"]["ttbar"]
    assert f"ttbar: read 60 events of {datasets[0]}, used {entry['num_events']} (test), {entry['num_elements']} elements" in output
    assert entry["models"]["tiny"]["description"]["trained on"] == "work/random"
    assert entry["models"]["tiny"]["training"] == {"step": [10, 20], "train/total": [2.5, 1.5], "validation/total": [2.25, 1.75]}
    figures = sorted(path.stem for path in (out / "plots" / "ttbar").glob("*.svg"))
    assert {"jets", "met", "confusion", "roc", "training"} <= set(figures)
    for suffix in ("png", "pdf"):
        assert sorted(path.stem for path in (out / "plots" / "ttbar").glob(f"*.{suffix}")) == figures
    assert f"{len(figures)} figures as PNG, SVG and PDF" in output
    page = (out / "report.html").read_text()
    assert "tiny" in page
    assert page.count("<figure") >= len(figures)


def test_parts_of_two_models_on_two_datasets_are_joined(mlpf_cli, run, datasets, tmp_path, monkeypatch):
    monkeypatch.setattr("mlpf.evaluation.folder.draw_summary", lambda *_: [])
    for i in (1, 2):
        status, output, errors = mlpf_cli("evaluate", f"a={run}", f"b={run}", *datasets, "--output", tmp_path / f"{i}", "--part", f"{i}/2")
        assert status == 0, errors
        assert f"ttbar, part {i}/2: read" in output
        assert "mlpf report joins the parts" in output
    status, output, errors = mlpf_cli("report", tmp_path / "1", tmp_path / "2", "--output", tmp_path / "all", "--reference", "b")
    assert status == 0, errors
    status, _, errors = mlpf_cli("evaluate", f"a={run}", f"b={run}", *datasets, "--output", tmp_path / "once")
    assert status == 0, errors
    merged, once = (json.loads((tmp_path / name / "metrics.json").read_text())["datasets"] for name in ("all", "once"))
    for name in ("ttbar", "qcd"):
        assert f"{name}: a, b on {once[name]['num_events']} events (test)" in output
        assert merged[name]["jets"] == once[name]["jets"]
        assert merged[name]["events_digest"] == once[name]["events_digest"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("tiny", "none"), "none: no such file or folder"),
        (("tiny",), "no dataset among them"),
        (("ttbar",), "no model among them"),
        (("tiny", "ttbar", "--part", "3/2"), "part '3/2': must be I/N"),
        (("tiny", "ttbar", "--part", "5/5"), "part 5/5 is too fine, it has 4 row groups"),
        (("tiny", "ttbar", "--split", "tset"), "split 'tset': unknown"),
        (("tiny", "x=tiny", "ttbar", "ttbar"), "dataset 'ttbar': two have this name"),
        (("tiny", "ttbar", "--device", "tpu"), "device 'tpu': unknown"),
    ],
)
def test_what_goes_wrong_is_one_line(mlpf_cli, run, datasets, tmp_path, words, problem):
    places = {"tiny": run, "x=tiny": f"x={run}", "ttbar": datasets[0], "none": tmp_path / "none"}
    status, _, errors = mlpf_cli("evaluate", *(places.get(word, word) for word in words), "--output", tmp_path / "out")
    assert status == 1
    assert problem in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_example_in_the_help_has_the_options_that_there_are(mlpf_cli):
    for command, option in (("evaluate", "--part"), ("report", "--reference")):
        status, output, _ = mlpf_cli(command, "--help")
        assert status == 0
        assert option in output
