import json

import numpy as np
import pytest

from mlpf.errors import DatasetError
from mlpf.features import SCALED_FEATURES
from mlpf.io.shards import ShardedDataset
from mlpf.samples.scaling import FeatureScaling, ScalingConfig
from mlpf.samples.scaling_file import ScalingFile, measured_datasets, merge_scaling_files, read_scaling_file
from mlpf.samples.split import SplitConfig
from mlpf.samples.statistics import SIGMA_PROBABILITIES, FeatureStatistics, measure_features
from mlpf.schema import NUM_FEATURES, ElementType

CONFIG = ScalingConfig(features={"eta": FeatureScaling(method="linear", a=0.2)})


@pytest.fixture
def measure(random_dataset, write_dataset):
    def make(seed, split="train", config=CONFIG):
        datasets = [ShardedDataset(write_dataset(random_dataset(num_events=40, seed=seed), f"dataset{seed}"))]
        return ScalingFile.of_datasets(measure_features(datasets, split, SplitConfig()), datasets, split, SplitConfig(), config)

    return make


def assert_equal(one, other):
    for name in ("num_events", "counts", "moments", "extremes", "histogram"):
        np.testing.assert_array_equal(getattr(one.statistics, name), getattr(other.statistics, name), err_msg=name)
    assert (one.datasets, one.split, one.split_config, one.scaling) == (other.datasets, other.split, other.split_config, other.scaling)


@pytest.mark.parametrize("split", ["train", None])
def test_a_file_gives_back_what_was_written(measure, tmp_path, split):
    file = measure(1, split)
    file.write(tmp_path / "scaling.json")
    assert_equal(read_scaling_file(tmp_path / "scaling.json"), file)
    assert [path.name for path in tmp_path.glob("*.json")] == ["scaling.json"]


def test_people_find_the_moments_of_a_feature_in_a_line(measure, tmp_path):
    file = measure(1)
    file.write(tmp_path / "scaling.json")
    record = json.loads((tmp_path / "scaling.json").read_text())["types"]["TRACK"]["features"]["pt"]
    summary, kind, column = file.statistics.summary(), ElementType.TRACK, SCALED_FEATURES.index("pt")
    assert record["mean"] == summary.mean[kind, column]
    assert record["mean_square"] - record["mean"] ** 2 == pytest.approx(summary.std[kind, column] ** 2)
    assert record["log_mean_square"] - record["log_mean"] ** 2 == pytest.approx(summary.log_std[kind, column] ** 2)
    assert list(record["quantiles"].values()) == pytest.approx(file.statistics.quantiles(SIGMA_PROBABILITIES)[kind, column], rel=1e-4)
    lines = (tmp_path / "scaling.json").read_text().splitlines()
    assert sum(line.startswith('"pt": {"mean":') for line in lines) == len(np.flatnonzero(file.statistics.counts.any(axis=0)))


def test_merged_files_are_the_measurement_of_both_datasets(measure, tmp_path):
    one, two = measure(1), measure(2)
    merged = merge_scaling_files([one, two], ["one", "two"])
    datasets = [ShardedDataset(tmp_path / f"dataset{seed}") for seed in (1, 2)]
    together = measure_features(datasets, "train", SplitConfig())
    np.testing.assert_array_equal(merged.statistics.histogram, together.histogram)
    for found, expected in zip(merged.statistics.summary(), together.summary(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert merged.datasets == measured_datasets(datasets)
    assert merged.scaling == CONFIG


def test_a_dataset_is_not_counted_twice(measure, tmp_path):
    file = measure(1)
    with pytest.raises(DatasetError, match=r"dataset1: the same events as .*dataset1, which would count twice"):
        merge_scaling_files([file, file], ["one", "two"])
    with pytest.raises(DatasetError, match="would count twice"):
        measured_datasets([ShardedDataset(tmp_path / "dataset1")] * 2)


def test_files_of_different_splits_or_scalings_are_not_merged(measure):
    with pytest.raises(DatasetError, match=r"two: split test of .*, but one has train"):
        merge_scaling_files([measure(1), measure(2, "test")], ["one", "two"])
    files = [measure(1), measure(2, config=ScalingConfig())]
    with pytest.raises(DatasetError, match="two: another scaling than one; say with --parameters"):
        merge_scaling_files(files, ["one", "two"])
    assert merge_scaling_files(files, ["one", "two"], ScalingConfig(method="none")).scaling.method == "none"


def _pt(content):
    return content["types"]["TRACK"]["features"]["pt"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.update(kind="other"), "not a scaling file"),
        (lambda c: c.update(schema_digest="0123"), "made for schema 0123, this library has"),
        (lambda c: c.pop("types"), "types: Field required"),
        (lambda c: c["types"].update(TRUCK=c["types"].pop("TRACK")), "TRUCK: not an element type"),
        (lambda c: c["types"]["TRACK"]["features"].pop("pt"), "TRACK: not an element type with the 52 features"),
        (lambda c: c["types"]["TRACK"]["piece_elements"].__setitem__(0, -5), "piece_elements: 0: Input should be greater than or equal to 0"),
        (lambda c: c["types"]["TRACK"]["piece_elements"].__setitem__(0, 5), "but the pieces add up to"),
        (lambda c: c.update(num_events=7), "7 events, .* but the pieces add up to"),
        (lambda c: c["piece_events"].append(3), "piece_events: List should have at most 20 items"),
        (lambda c: _pt(c)["histogram"][0].__setitem__(1, -1), "histogram: 0: 1: Input should be greater"),
        (lambda c: _pt(c)["histogram"][0].__setitem__(1, 10**6), "pt: histogram of 1"),
        (lambda c: _pt(c)["histogram"].append([2816, 1, 1]), "bin 2817 of 2817"),
        (lambda c: _pt(c).update(min=1e5), "min 100000 above max"),
        (lambda c: _pt(c).update(mean="x"), "pt: mean: Input should be a valid number"),
        (lambda c: _pt(c)["pieces"].pop(), "pt: pieces: "),
        (lambda c: _pt(c)["pieces"][0].__setitem__(1, -1.0), "pt: pieces: 0: 1: Input should be greater than or equal to 0"),
        (lambda c: _pt(c)["pieces"][0].__setitem__(0, 1e300), "pt: pieces: 0: 0: Input should be less"),
        (lambda c: _pt(c).update(max=1e300), "pt: max: Input should be less"),
        (lambda c: _pt(c)["histogram"][0].__setitem__(1, 10**30), "histogram: 0: 1: Input should be less"),
        (lambda c: c["piece_events"].__setitem__(0, 10**30), "piece_events: 0: Input should be less"),
        (lambda c: c.update(split="trian"), "split: Input should be 'train', 'validation' or 'test' .found trian"),
    ],
)
def test_a_damaged_file_is_an_error_that_says_where(measure, tmp_path, damage, message):
    path = tmp_path / "scaling.json"
    measure(1).write(path)
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message) as error:
        read_scaling_file(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not valid JSON"), ("[]", "not a scaling file"), (None, "cannot be read"), ('{"kind": NaN}', "not a scaling")]
)
def test_what_is_no_scaling_file_is_refused(tmp_path, text, message):
    path = tmp_path / "scaling.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_scaling_file(path)


def test_means_at_the_limit_of_the_clean_up_are_read_back(tmp_path):
    statistics = FeatureStatistics()
    for number in (1, 6, 777):
        statistics.add(np.full((number, NUM_FEATURES), 1e30, dtype=np.float32))
    file = ScalingFile(statistics, (), None, SplitConfig(), ScalingConfig())
    file.write(tmp_path / "scaling.json")
    assert_equal(read_scaling_file(tmp_path / "scaling.json"), file)
