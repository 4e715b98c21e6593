import json
import shutil

import pytest

from mlpf.errors import MlpfError
from mlpf.evaluation import Part, evaluate, merge
from mlpf.io.shards import ShardedDataset
from mlpf.samples.split import SplitConfig

pytestmark = pytest.mark.usefixtures("without_figures")
NUMBERS = ("num_events", "num_elements", "events_digest", "systems", "bins", "elements", "particles", "jets", "met", "multiplicity", "emd")


@pytest.fixture
def dataset(random_dataset, write_dataset):
    return ShardedDataset(write_dataset(random_dataset(90, 20)))


@pytest.fixture
def models(target_predictor):
    return {"one": target_predictor(), "two": target_predictor(scale=1.1)}


@pytest.fixture
def parts(models, dataset, tmp_path):
    """Three parts of both models, on a third of the dataset each."""
    folders = [tmp_path / f"part_{i}" for i in (1, 2, 3)]
    for i, folder in enumerate(folders, start=1):
        evaluate(models, {"d": dataset}, folder, part=Part(i, 3))
    return folders


def read(folder):
    return tuple(json.loads((folder / name).read_text()) for name in ("metrics.json", "performance.json"))


def test_the_parts_are_the_whole(models, dataset, parts, tmp_path):
    whole = evaluate(models, {"d": dataset}, tmp_path / "whole")
    done = merge([parts[2], parts[0], parts[1]], tmp_path / "out")
    assert read(tmp_path / "out") == (done.metrics, done.performance)
    assert done.performance == whole.performance
    merged, once = done.metrics["datasets"]["d"], whole.metrics["datasets"]["d"]
    for key in (*NUMBERS, "models", "path", "split"):
        assert merged[key] == once[key], key
    for model in models:
        assert merged["timing"][model]["seconds"] == pytest.approx(once["timing"][model]["seconds"])
    assert "part" not in merged
    assert merged.keys() == once.keys()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.json", "performance.json", "report.html", "sums", "timing"]


def test_a_part_without_events_adds_nothing(target_predictor, random_dataset, write_dataset, tmp_path):
    dataset = ShardedDataset(write_dataset(random_dataset(33, 20)))  # the last row group has one event
    split = SplitConfig(train=0.9, validation=0.0, test=0.1, seed=next(s for s in range(9) if not _is_test(dataset, 32, s)))
    folders = [tmp_path / f"part_{i}" for i in (1, 2, 3)]
    counts = [
        evaluate({"m": target_predictor(split)}, {"d": dataset}, folder, part=Part(i, 3)).metrics["datasets"]["d"]["num_events"]
        for i, folder in enumerate(folders, start=1)
    ]
    assert counts[2] == 0
    whole = evaluate({"m": target_predictor(split)}, {"d": dataset}, tmp_path / "whole")
    merged = merge(folders, tmp_path / "out")
    assert merged.metrics["datasets"]["d"]["num_events"] == sum(counts) == whole.metrics["datasets"]["d"]["num_events"] > 0
    assert merged.metrics["datasets"]["d"]["jets"] == whole.metrics["datasets"]["d"]["jets"]


def _is_test(dataset, event, seed):
    from mlpf.samples.split import in_split

    events = dataset.read().slice(event, event + 1)
    return in_split(events["run"], events["lumi"], events["event"], "test", SplitConfig(train=0.9, validation=0.0, test=0.1, seed=seed)).any()


def test_parts_without_any_event_are_one_clear_error(target_predictor, dataset, tmp_path):
    for i in (1, 2):
        evaluate({"m": target_predictor(SplitConfig(train=1.0, validation=0.0, test=0.0))}, {"d": dataset}, tmp_path / f"{i}", part=Part(i, 2))
    with pytest.raises(MlpfError, match="d: no event of any part falls to the split 'test'"):
        merge([tmp_path / "1", tmp_path / "2"], tmp_path / "out")


def test_models_and_datasets_evaluated_apart_are_as_if_evaluated_together(models, dataset, other_dataset, tmp_path):
    datasets = {"d": dataset, "other": other_dataset}
    together = evaluate(models, datasets, tmp_path / "together")
    for model in models:
        for name in datasets:
            evaluate({model: models[model]}, {name: datasets[name]}, tmp_path / f"{model}_{name}")
    done = merge([tmp_path / f"{model}_{name}" for model in models for name in datasets], tmp_path / "out")
    assert done.replaced == []
    assert done.performance == together.performance
    assert json.dumps(done.metrics) == json.dumps(together.metrics)  # with the order of the systems
    again = merge([tmp_path / "out"], tmp_path / "again")
    assert (again.metrics, again.performance) == (done.metrics, done.performance)


def test_of_a_model_that_is_there_twice_the_later_numbers_count(target_predictor, models, dataset, tmp_path):
    evaluate(models, {"d": dataset}, tmp_path / "old")
    new = evaluate({"two": target_predictor(scale=2.0)}, {"d": dataset}, tmp_path / "new").metrics["datasets"]["d"]
    done = merge([tmp_path / "old", tmp_path / "new"], tmp_path / "out")
    entry = done.metrics["datasets"]["d"]
    assert done.replaced == [f"d, two: in {tmp_path / 'old'} and {tmp_path / 'new'}; taken from {tmp_path / 'new'}"]
    assert list(entry["models"]) == ["one", "two"]
    assert entry["met"]["two"] == new["met"]["two"]
    assert entry["models"]["two"]["description"]["scale"] == "2.0"
    only = evaluate({"two": models["two"]}, {"d": dataset}, tmp_path / "only", "all")  # other events, but nothing else is to be compared with
    assert merge([tmp_path / "new", tmp_path / "only"], tmp_path / "last").metrics["datasets"]["d"]["num_events"] == only.metrics["datasets"]["d"]["num_events"]


def test_models_of_different_events_are_not_compared(models, dataset, tmp_path):
    evaluate({"one": models["one"]}, {"d": dataset}, tmp_path / "a")
    evaluate({"two": models["two"]}, {"d": dataset}, tmp_path / "b", "all")
    with pytest.raises(MlpfError, match=r"d: .*/a has \d+ events \(test, .*/b has other ones \(90, all, .*name the datasets apart"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parts_that_do_not_fit_together_are_told(target_predictor, models, dataset, other_dataset, parts, tmp_path):
    with pytest.raises(MlpfError, match=r"d: part 2/3 of one, two is missing; make it with mlpf evaluate --part 2/3"):
        merge([parts[0], parts[2]], tmp_path / "out")
    with pytest.raises(MlpfError, match=r"d: part 1/3 is in .*part_1 and in .*part_1; give it once"):
        merge([*parts, parts[0]], tmp_path / "out")
    evaluate({**models, "two": target_predictor(scale=3.0)}, {"d": dataset}, tmp_path / "odd", part=Part(3, 3))
    with pytest.raises(MlpfError, match=r"d: part 3/3 in .*odd has other models than part 1/3"):
        merge([*parts[:2], tmp_path / "odd"], tmp_path / "out")
    evaluate(models, {"d": other_dataset}, tmp_path / "foreign", part=Part(3, 3))
    with pytest.raises(MlpfError, match=r"d: part 3/3 in .*foreign has other fingerprint than part 1/3"):
        merge([*parts[:2], tmp_path / "foreign"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_reference_must_be_there(models, dataset, tmp_path):
    evaluate(models, {"d": dataset}, tmp_path / "a")
    with pytest.raises(MlpfError, match=r"reference 'tow': no such system; did you mean 'two'\? \(known: pf, one, two, targets"):
        merge([tmp_path / "a"], tmp_path / "out", reference="tow")
    assert merge([tmp_path / "a"], tmp_path / "out", reference="two").figures == {"d": ["jets"]}


def test_an_evaluation_does_not_replace_what_it_is_made_of(models, dataset, tmp_path):
    evaluate(models, {"d": dataset}, tmp_path / "a")
    with pytest.raises(MlpfError, match="is one of the evaluations to join"):
        merge([tmp_path / "a"], tmp_path / "a", overwrite=True)
    (tmp_path / "out").mkdir()
    with pytest.raises(MlpfError, match=r"holds no metrics.json"):
        merge([tmp_path / "a"], tmp_path / "out", overwrite=True)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("metrics.json", None, r"metrics.json: cannot be read \(No such file or directory\); mlpf report takes folders"),
        ("metrics.json", "{", r"metrics.json: damaged, not valid JSON"),
        ("metrics.json", "[]", r"metrics.json: format of an earlier version, this version reads 2; make it again"),
        ("metrics.json", '{"format": 9}', r"metrics.json: format 9, this version reads 2"),
        ("metrics.json", '{"format": 2}', r"metrics.json: damaged, it has no datasets"),
        ("metrics.json", '{"format": 2, "datasets": {"d": {"path": ""}}}', r"metrics.json: damaged, dataset d has no fingerprint"),
        ("performance.json", "\x00", r"performance.json: damaged, not valid JSON"),
        ("performance.json", '{"format": 2}', r"performance.json: format 2, this version reads 1"),
        ("sums/d.npz", None, r"sums/d.npz: cannot be read: No such file or directory"),
        ("sums/d.npz", "PK\x03\x04", r"sums/d.npz: damaged, or not the sums of an evaluation"),
        ("timing/d.npz", "", r"timing/d.npz: damaged, or not the sums of an evaluation"),
    ],
)
def test_a_damaged_evaluation_is_one_clear_error(models, dataset, tmp_path, file, content, problem):
    evaluate({"one": models["one"]}, {"d": dataset}, tmp_path / "a", max_events=5)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / file).unlink()
    if content is not None:
        (tmp_path / "b" / file).write_text(content)
    with pytest.raises(MlpfError, match=problem):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
