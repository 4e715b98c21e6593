import pytest

from mlpf.samples.scaling_file import read_scaling_file


@pytest.fixture
def folders(random_dataset, write_dataset):
    return [write_dataset(random_dataset(num_events=60, seed=seed), f"dataset{seed}") for seed in (1, 2)]


def test_a_dataset_is_measured_and_the_file_says_how(mlpf_cli, folders, tmp_path):
    (tmp_path / "p.yaml").write_text("scaling: {method: normal, features: {pt: {method: log}}}\ntraining: {split: {train: 0.5, validation: 0.3, test: 0.2}}\n")
    output = tmp_path / "scaling.json"
    status, out, err = mlpf_cli("scale", *folders, "-p", tmp_path / "p.yaml", "--output", output, "--plot", tmp_path / "scaling.png")
    assert (status, err) == (0, "")
    file = read_scaling_file(output)
    assert file.split == "train"
    assert file.split_config.train == 0.5
    assert (file.scaling.method_of("energy"), file.scaling.method_of("pt")) == ("normal", "log")
    assert f"split train: {file.statistics.num_events.sum()} events, {file.statistics.num_elements} elements" in out
    assert "TRACK" in out
    assert "from half of the events to all" in out
    assert (tmp_path / "scaling.png").stat().st_size > 5000


def test_files_of_two_datasets_merge_to_that_of_both(mlpf_cli, folders, tmp_path):
    parts = [tmp_path / f"{i}.json" for i in range(2)]
    for folder, part in zip(folders, parts, strict=True):
        assert mlpf_cli("scale", folder, "--output", part)[0] == 0
    assert mlpf_cli("scale", *parts, "--output", tmp_path / "merged.json")[0] == 0
    assert mlpf_cli("scale", *folders, "--output", tmp_path / "both.json", "--jobs", 1)[0] == 0
    merged, both = (read_scaling_file(tmp_path / f"{name}.json") for name in ("merged", "both"))
    assert merged.datasets == both.datasets
    assert (merged.statistics.histogram == both.statistics.histogram).all()


def test_all_events_and_a_few_of_them_can_be_measured(mlpf_cli, folders, tmp_path):
    assert mlpf_cli("scale", folders[0], "--split", "all", "--output", tmp_path / "all.json")[0] == 0
    assert read_scaling_file(tmp_path / "all.json").statistics.num_events.sum() == 60
    status, out, _ = mlpf_cli("scale", folders[0], "--split", "all", "--max-events", 3, "--output", tmp_path / "few.json")
    assert (status, read_scaling_file(tmp_path / "few.json").statistics.num_events.sum()) == (0, 3)
    assert "too few to see" in out


def test_only_an_older_scaling_file_is_overwritten(mlpf_cli, folders, tmp_path):
    output = tmp_path / "scaling.json"
    assert [mlpf_cli("scale", folders[0], "--output", output)[0] for _ in range(2)] == [0, 0]
    manifest = folders[0] / "manifest.json"
    before = manifest.read_bytes()
    status, _, err = mlpf_cli("scale", folders[0], "--output", manifest)
    assert (status, "not a scaling file, so it is not overwritten" in " ".join(err.split())) == (1, True)
    assert manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{0}", "{0}", "-o", "{out}"], "would count twice"),
        (["{0}", "none.json", "-o", "{out}"], "measured, files are merged"),
        (["none.json", "-o", "{out}"], "none.json: cannot be read"),
        (["nowhere", "-o", "{out}"], "nowhere: not a dataset"),
        (["{0}", "-o", "scaling.txt"], "name it scaling.json"),
        (["{0}", "-o", "{out}", "--plot", "picture.txt"], "unknown format"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_no_file(mlpf_cli, folders, tmp_path, words, message):
    output = tmp_path / "scaling.json"
    status, _, err = mlpf_cli("scale", *(word.format(*folders, out=output) for word in words))
    assert status == 1
    assert message in " ".join(err.split())
    assert not output.exists()
