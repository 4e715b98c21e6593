import html
import json
import re

import numpy as np
import pytest

from mlpf import schema
from mlpf.events import Events
from mlpf.io.ntuple import read_ntuple
from mlpf.io.shards import ShardedDataset, write_parquet
from mlpf.plotting.columns import samples as samples_module

PNG = b"\x89PNG"


@pytest.fixture
def two(random_dataset, write_dataset):
    """Two datasets of 40 and 30 events."""
    return write_dataset(random_dataset(40, 30, seed=1), "a"), write_dataset(random_dataset(30, 50, seed=2), "b")


def histograms(folder):
    return json.loads((folder / "histograms.json").read_text())


def oracle(values, edges):
    """Counts below, in and above the bins."""
    finite = values[np.isfinite(values)].astype(np.float64)
    return int((finite < edges[0]).sum()), np.histogram(finite, edges)[0].tolist(), int((finite > edges[-1]).sum())


def counts_of(column, sample):
    entry = column["samples"][sample]
    return entry["below"], entry["counts"], entry["above"]


def test_columns_of_an_ntuple_are_counted_as_numpy_does(repository, tmp_path, mlpf_cli):
    path = repository / "data" / "ttbar.root"
    output = tmp_path / "plots"
    status, out, err = mlpf_cli("plot", path, "--columns", "genjet_*", "--columns", "num_genjet", "--columns", "genmet_pt", "--output", output)
    assert status == 0, err
    assert "ttbar: ntuple" in out
    assert "105 events" in out
    assert "7 figures" in out
    found, events = histograms(output), read_ntuple(path)
    for name in ("genjet_pt", "genjet_eta", "genmet_pt"):
        column = found["columns"][name]
        assert counts_of(column, "ttbar") == oracle(events[name], column["edges"])
        assert column["samples"]["ttbar"]["mean"] == pytest.approx(events[name].mean(dtype=np.float64), rel=1e-6)
        assert column["samples"]["ttbar"]["std"] == pytest.approx(events[name].std(dtype=np.float64), rel=1e-6)
    multiplicity = found["columns"]["num_genjet"]
    assert counts_of(multiplicity, "ttbar") == oracle(events.counts("genjet"), multiplicity["edges"])
    assert (output / "genjet_pt.png").read_bytes().startswith(PNG)
    assert (output / "genjet_eta__genjet_pt.png").read_bytes().startswith(PNG)


def test_samples_have_names_and_cuts_and_equal_bins(two, tmp_path, mlpf_cli):
    output = tmp_path / "plots"
    cuts = ("--cut", "element_pt > .5", "--cut", "few: num_element > 45", "--cut", "few: element_type == TRACK")
    words = ("--columns", "element_*", "--columns", "num_element", "--columns", "target_class", "--pair", "element_eta:num_element")
    status, out, err = mlpf_cli("plot", f"all={two[0]}", f"few={two[1]}", *cuts, *words, "--output", output)
    assert status == 0, err
    found = histograms(output)
    events = ShardedDataset(two[1]).read()
    large = events.counts("element") > 45
    passing = (events["element_pt"] > 0.5) & (events["element_type"] == 1) & np.repeat(large, events.counts("element"))
    assert 0 < large.sum() < 30
    assert f"30 events, {large.sum()} pass element_pt > .5 and num_element > 45 and element_type == TRACK" in out
    assert found["samples"][1] == {
        "name": "few", "files": [str(two[1])], "cuts": ["element_pt > .5", "num_element > 45", "element_type == TRACK"], "events": 30, "selected": large.sum(),
    }  # fmt: skip
    for name in ("element_pt", "element_eta", "element_phi"):
        column = found["columns"][name]
        assert counts_of(column, "few") == oracle(events[name][passing], column["edges"])
    tracks = np.add.reduceat(passing.astype(int), events.offsets["element"][:-1])[large]
    assert counts_of(found["columns"]["num_element"], "few") == oracle(tracks, found["columns"]["num_element"]["edges"])
    position = list(found["columns"]["element_type"]["categories"].values()).index("TRACK")
    assert found["columns"]["element_type"]["samples"]["few"]["counts"][position] == passing.sum()
    (pair,) = found["pairs"]
    assert pair["samples"]["few"]["entries"] == passing.sum()
    page = (output / "index.html").read_text()
    assert "num_element &gt; 45" in page
    assert page.count("<img") == len(list(output.glob("*.png")))
    assert not re.search(r"(src|href)='(https?:|//)", page)  # needs nothing else


def test_a_ntuple_and_a_dataset_share_the_columns_of_one_name(repository, two, tmp_path, mlpf_cli):
    output = tmp_path / "plots"
    words = ("--columns", "element_pt", "--columns", "gen_pt", "--columns", "target_pt", "--columns", "genmet_pt")
    status, _, err = mlpf_cli("plot", repository / "data" / "ttbar.root", two[0], *words, "--output", output, "--events", 10)
    assert status == 0, err
    found = histograms(output)["columns"]
    assert {name: list(column["samples"]) for name, column in found.items()} == {
        "element_pt": ["ttbar", "a"], "gen_pt": ["ttbar"], "target_pt": ["a"], "genmet_pt": ["ttbar", "a"],
    }  # fmt: skip
    assert [sample["events"] for sample in histograms(output)["samples"]] == [10, 10]
    assert found["genmet_pt"]["samples"]["ttbar"]["entries"] == 10


def test_files_of_one_name_are_one_sample_and_patterns_are_filled_in(two, tmp_path, mlpf_cli):
    for words in ((f"both={two[0]}", f"both={two[1]}"), (f"both={two[0].parent}/?",)):
        status, out, err = mlpf_cli("plot", *words, "--columns", "element_pt", "--output", tmp_path / "plots", "--overwrite")
        assert status == 0, err
        assert "and 1 more, 70 events" in out
        column = histograms(tmp_path / "plots")["columns"]["element_pt"]
        values = np.concatenate([ShardedDataset(path).read()["element_pt"] for path in two])
        assert counts_of(column, "both") == oracle(values, column["edges"])


def test_neither_the_size_of_chunks_nor_the_processes_change_the_counts(two, tmp_path, mlpf_cli, monkeypatch):
    words = ("plot", *two, "--columns", "element_e*", "--pair", "element_eta:element_energy")
    bins = tmp_path / "bins.yaml"
    bins.write_text("plot: {binnings: {element_energy: {low: 1, high: 100, bins: 7, log: true}, element_eta: {edges: [-5, -2, 0, 4]}}}")
    outputs = [tmp_path / name for name in ("whole", "pieces", "processes")]
    assert mlpf_cli(*words, "-p", bins, "--output", outputs[0])[0] == 0
    monkeypatch.setattr(samples_module, "CHUNK_BYTES", 1)  # a row group at a time
    assert mlpf_cli(*words, "-p", bins, "--output", outputs[1])[0] == 0
    assert mlpf_cli(*words, "-p", bins, "--jobs", 2, "--output", outputs[2])[0] == 0
    whole, *others = [histograms(output) for output in outputs]
    assert len(whole["columns"]["element_energy"]["edges"]) == 8
    for other in others:
        assert other["pairs"] == whole["pairs"]
        for name, column in whole["columns"].items():
            assert other["columns"][name]["edges"] == column["edges"]
            for sample in column["samples"]:
                assert counts_of(other["columns"][name], sample) == counts_of(column, sample)


def test_a_parameter_file_holds_samples_and_choices(two, tmp_path, mlpf_cli):
    parameters, output = tmp_path / "plot.yaml", tmp_path / "plots"
    parameters.write_text(
        f"plot:\n  samples:\n  - {{name: one, path: {two[0]}, cut: element_pt > 1}}\n  - {{name: two, path: [{two[1]}]}}\n"
        "  columns: [element_pt, element_type]\n  pairs: [[element_eta, element_pt]]\n  normalise: events\n  log: never\n"
        "  binnings: {element_pt: {low: 0, high: 10, bins: 5}}\n"
    )
    status, _, err = mlpf_cli("plot", "-p", parameters, "--cut", "two: element_pt > 2", "--format", "svg", "--output", output)
    assert status == 0, err
    found = histograms(output)
    assert [sample["cuts"] for sample in found["samples"]] == [["element_pt > 1"], ["element_pt > 2"]]
    assert found["columns"]["element_pt"]["edges"] == [0, 2, 4, 6, 8, 10]
    assert found["columns"]["element_pt"]["samples"]["two"]["counts"][0] == 0
    svg = (output / "element_pt.svg").read_text()
    assert "entries per event and bin" in svg
    assert (output / "element_eta__element_pt.svg").is_file()
    assert "href='element_pt.svg'" in (output / "index.html").read_text()


def test_the_parameter_file_of_the_repository_draws(repository, tmp_path, mlpf_cli, monkeypatch):
    monkeypatch.chdir(repository)
    status, out, err = mlpf_cli("plot", "-p", "parameters/plot.yaml", "--events", 20, "--output", tmp_path / "plots")
    assert status == 0, err
    assert "element_type == TRACK" in out


def test_values_that_are_not_finite_are_counted_and_told(two, random_dataset, write_dataset, tmp_path, mlpf_cli):
    events = random_dataset(20, 30)
    energy = events["element_energy"].copy()
    energy[[1, 5]], energy[7] = np.nan, np.inf
    path = write_dataset(events.with_columns({"element_energy": energy, "element_time": np.full(len(energy), np.nan)}), "broken")
    output = tmp_path / "plots"
    status, out, err = mlpf_cli("plot", path, two[0], "--columns", "element_energy", "--columns", "element_time", "--format", "svg", "--output", output)
    assert status == 0, err
    assert "not finite, left out: element_energy 3" in out
    assert "without entries, not drawn: element_time" in out
    assert not (output / "element_time.png").exists()
    entry = histograms(output)["columns"]["element_energy"]["samples"]["broken"]
    assert (entry["not_finite"], entry["entries"]) == (3, len(energy) - 3)
    assert "not finite: 3" in (output / "element_energy.svg").read_text()


def test_candidates_are_drawn(tmp_path, mlpf_cli):
    columns = {name: np.arange(1, 7) if column.dtype.startswith("float") else np.ones(6) for name, column in schema.CANDIDATES.columns.items()}
    columns |= dict.fromkeys(("event", "run", "lumi"), np.array([1, 2]))
    write_parquet(tmp_path / "candidates.parquet", [Events(columns, {"mlpfcandidate": [0, 2, 6]}, 2, layout=schema.CANDIDATES)])
    status, _, err = mlpf_cli("plot", tmp_path / "candidates.parquet", "--cut", "mlpfcandidate_pt > 2", "--output", tmp_path / "plots")
    assert status == 0, err
    assert histograms(tmp_path / "plots")["columns"]["mlpfcandidate_pt"]["samples"]["candidates"]["entries"] == 4


def test_the_same_input_gives_the_same_bytes(two, tmp_path, mlpf_cli):
    for name in ("one", "two"):
        for kind in ("svg", "pdf"):
            assert mlpf_cli("plot", *two, "--columns", "element_pt", "--format", kind, "--output", tmp_path / f"{name}_{kind}")[0] == 0
    for kind in ("svg", "pdf"):
        assert (tmp_path / f"one_{kind}" / f"element_pt.{kind}").read_bytes() == (tmp_path / f"two_{kind}" / f"element_pt.{kind}").read_bytes()


def test_a_figure_tells_the_cuts_that_change_its_entries_and_no_others(two, tmp_path, mlpf_cli):
    cuts = ("--cut", "a: element_pt > 1", "--cut", "a: num_genjet > 0")
    assert mlpf_cli("plot", *two, "--columns", "*_pt", *cuts, "--format", "svg", "--output", tmp_path / "plots")[0] == 0
    elements, jets = ((tmp_path / "plots" / f"{name}_pt.svg").read_text() for name in ("element", "genjet"))
    assert "a (element_pt &gt; 1 and num_genjet &gt; 0)" in elements
    assert "a (num_genjet &gt; 0)" in jets
    assert "element_pt" not in jets


def test_bins_fit_what_passes_the_cuts_also_where_that_is_rare(random_dataset, write_dataset, tmp_path, mlpf_cli):
    events = random_dataset(1500, 2)
    rare = 700  # not among the events that are looked at first: of 12 blocks, all but the numbers 2, 5, 8 and 10
    far = events.with_columns({"genmet_pt": np.where(np.arange(1500) == rare, 5000.0, 1.0)})
    path, output = write_dataset(far), tmp_path / "plots"
    assert mlpf_cli("plot", path, "--columns", "genmet_pt", "--cut", "genmet_pt > 100", "--output", output)[0] == 0
    column = histograms(output)["columns"]["genmet_pt"]
    assert column["edges"][0] < 5000 < column["edges"][-1]
    assert column["edges"][0] > 100


def test_weights_of_events_count_for_their_entries(random_dataset, write_dataset, tmp_path, mlpf_cli):
    events, rng = random_dataset(40, 30, seed=1), np.random.default_rng(0)
    weight = rng.exponential(1.0, len(events)).astype(np.float32)
    path, plain = write_dataset(events.with_columns({"weight": weight}), "mixture"), write_dataset(random_dataset(20, 30, seed=2), "plain")
    output = tmp_path / "plots"
    words = ("--columns", "element_pt", "--columns", "num_element", "--pair", "element_eta:num_element", "--cut", "genmet_pt > 5", "--cut", "element_pt > 1")
    for normalise in ("entries", "events"):
        status, out, err = mlpf_cli("plot", path, plain, *words, "--weighted", "--normalise", normalise, "--format", "svg", "--output", output, "--overwrite")
        assert status == 0, err
    assert "pass genmet_pt > 5 and element_pt > 1, weighted" in out
    assert out.count("weighted") == 1  # the other sample has none
    assert "weighted entries per event and bin" in (output / "element_pt.svg").read_text()
    found = histograms(output)
    met = events["genmet_pt"] > 5
    of_elements = np.repeat(weight, events.counts("element")).astype(np.float64)
    passing = (events["element_pt"] > 1) & np.repeat(met, events.counts("element"))
    column = found["columns"]["element_pt"]
    mixture, edges = column["samples"]["mixture"], column["edges"]
    values, weights = events["element_pt"][passing].astype(np.float64), of_elements[passing]
    np.testing.assert_allclose(mixture["counts"], np.histogram(values, edges, weights=weights)[0])
    np.testing.assert_allclose(mixture["variances_with_below_and_above"][1:-1], np.histogram(values, edges, weights=weights**2)[0])
    assert mixture["entries"] == passing.sum()
    assert mixture["mean"] == pytest.approx(np.average(values, weights=weights))
    assert found["columns"]["num_element"]["samples"]["mixture"]["mean"] == pytest.approx(
        np.average(np.add.reduceat(passing & (events["element_pt"] > 1), events.offsets["element"][:-1], dtype=int)[met], weights=weight[met])
    )
    assert found["samples"][0]["weight_selected"] == pytest.approx(weight[met].sum(dtype=np.float64))
    assert np.sum(found["pairs"][0]["samples"]["mixture"]["counts_with_below_and_above"]) == pytest.approx(weights.sum())
    assert all(isinstance(number, int) for number in column["samples"]["plain"]["counts"])


def test_weights_that_are_none_are_refused(random_dataset, write_dataset, tmp_path, mlpf_cli):
    events = random_dataset(20, 30)
    path = write_dataset(events.with_columns({"weight": np.where(events["event"] == events["event"][3], np.nan, 1.0)}), "broken")
    _, _, err = mlpf_cli("plot", path, "--columns", "element_pt", "--weighted", "--output", tmp_path / "plots")
    assert f"{path}: events 0 to 20: a weight is negative or not finite" in err


@pytest.mark.parametrize("name", ["a:b", "<script>alert(1)<|script>", "$x_1^2$", "a=b", "two words"])
def test_names_may_be_anything(name, two, tmp_path, mlpf_cli):
    parameters = tmp_path / "plot.yaml"
    parameters.write_text(json.dumps({"plot": {"samples": [{"name": name, "path": str(two[0])}, {"name": "plain", "path": str(two[1])}]}}))
    words = ("--columns", "element_pt", "--cut", f"{name}: element_pt > 1", "--output", tmp_path / "plots", "--format", "svg")
    status, _, err = mlpf_cli("plot", "-p", parameters, *words)
    assert status == 0, err
    assert [sample["cuts"] for sample in histograms(tmp_path / "plots")["samples"]] == [["element_pt > 1"], []]
    page, figure = (tmp_path / "plots" / "index.html").read_text(), (tmp_path / "plots" / "element_pt.svg").read_text()
    assert page.count("<script") == 1
    assert html.escape(name) in page
    assert html.escape(name, quote=False) in figure


def test_files_folders_and_links_are_called_as_they_are(repository, two, tmp_path, mlpf_cli):
    folder, link = tmp_path / "qcd_13.6TeV", tmp_path / "link.root"
    folder.symlink_to(two[0])
    link.symlink_to(repository / "data" / "ttbar.root")
    status, _, err = mlpf_cli("plot", folder, link, "--columns", "num_element", "--events", 5, "--output", tmp_path / "plots")
    assert status == 0, err
    assert [sample["name"] for sample in histograms(tmp_path / "plots")["samples"]] == ["qcd_13.6TeV", "link"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{samples: 3}", "samples"),
        ("{cut: 3}", "cut: Input"),
        ("{samples: [{name: a, path: x, cut: 3}]}", "samples.0.cut"),
        ("{samples: [{name: [a], path: x}]}", "samples.0.name"),
        ("3", "expected keys and values"),
    ],
)
def test_parameter_files_of_wrong_types_end_with_one_line_also_beside_cuts(section, words, tmp_path, mlpf_cli):
    parameters = tmp_path / "plot.yaml"
    parameters.write_text(f"plot: {section}")
    for cuts in ((), ("--cut", "element_pt > 1"), ("--cut", "a: element_pt > 1")):
        status, _, err = mlpf_cli("plot", "-p", parameters, *cuts, "--output", tmp_path / "plots")
        assert status == 1
        assert len(err.strip().splitlines()) == 1
        assert words in err


UNHAPPY = [
    (["{a}", "--columns", "elemnt_pt"], ["no sample has a column 'elemnt_pt'", "did you mean 'element_pt'"]),
    (["{a}", "--cut", "elemnt_pt > 3"], ["cut 'elemnt_pt > 3'", "did you mean 'element_pt'"]),
    (["{a}", "--cut", "element_pt > 1e6"], ["sample 'a'", "cut 'element_pt > 1e6' leaves no element in 40 events"]),
    (["{a}", "--cut", "num_element > 1e6"], ["sample 'a'", "cut 'num_element > 1e6' leaves no events in 40 events"]),
    (["x={a}", "--cut", "y: element_pt > 1"], ["no sample is called 'y'"]),
    (["{a}", "--cut", "element_time > 1"], ["sample 'a'", "has no column element_time"]),
    (["{a}", "--pair", "element_pt"], ["expected two columns X:Y"]),
    (["{a}", "--pair", "element_pt:genjet_pt"], ["element and genjet have different entries"]),
    (["{a}", "--pair", "element_pt:elementeta"], ["did you mean 'element_eta'"]),
    (["{a}", "{a}"], ["another sample is called 'a'", "NAME="]),
    ([], ["no samples"]),
    (["{a}/nothing"], ["no such file or folder"]),
    (["{a}/*.txt"], ["no such file or folder"]),
    (["n={a}/x**.root"], ["no such file or folder"]),
    (["n=" + "x" * 300], ["no such file or folder"]),
    (["n={a}", "n={a}"], ["sample 'n'", "is there twice"]),
    (["{a}", "--weighted"], ["no sample has the column 'weight'"]),
    (["{a}/manifest.json"], ["not an ntuple"]),
    (["x={a}", "x={root}"], ["sample 'x'", "columns of a ntuple", "those of a dataset"]),
]


@pytest.mark.parametrize(("words", "expected"), UNHAPPY)
def test_what_cannot_be_drawn_ends_with_one_line_and_leaves_nothing(words, expected, two, repository, tmp_path, mlpf_cli):
    words = [word.format(a=two[0], root=repository / "data" / "ttbar.root") for word in words]
    status, _, err = mlpf_cli("plot", *words, "--output", tmp_path / "plots")
    assert status == 1
    assert len(err.strip().splitlines()) == 1
    for text in expected:
        assert text in err
    assert not (tmp_path / "plots").exists()
    assert not list(tmp_path.glob(".plots*"))


def test_only_a_folder_of_figures_is_replaced(two, tmp_path, mlpf_cli):
    words = ("plot", two[0], "--columns", "element_pt", "--output")
    (tmp_path / "mine").mkdir()
    assert "exists already" in mlpf_cli(*words, tmp_path / "mine")[2]
    assert "holds no histograms.json" in mlpf_cli(*words, tmp_path / "mine", "--overwrite")[2]
    assert mlpf_cli(*words, tmp_path / "plots")[0] == 0
    assert mlpf_cli(*words, tmp_path / "plots", "--overwrite")[0] == 0
