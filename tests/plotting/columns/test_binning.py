import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.config import parse_section
from mlpf.errors import ConfigError
from mlpf.plotting.columns.binning import KINDS, MAX_CATEGORIES, choose_binning, round_up
from mlpf.plotting.columns.config import BinningConfig, PlotConfig
from mlpf.schema import CandidateClass, ElementType

RNG = np.random.default_rng(0)


def test_types_and_classes_have_a_bin_each_with_its_name():
    binning = choose_binning("element_type", np.array([1.0, 4.0]))
    assert list(binning.categories) == [int(kind) for kind in ElementType]
    assert binning.categories[1] == "TRACK"
    np.testing.assert_array_equal(binning.positions(np.array([1, 11, 4, 99, -3])), [1, 11, 4, 12, 12])  # unknown ones are above the last edge
    classes = choose_binning("target_class", np.array([211.0]))
    position = list(KINDS["target_class"]).index(CandidateClass.PHOTON)
    np.testing.assert_array_equal(classes.positions(np.array([22])), [position])
    assert choose_binning("edge_kind", np.array([1.0])).categories[5] == "link + nearest"


def test_of_pdgids_the_most_frequent_have_a_bin_each():
    values = np.concatenate([np.repeat([22, -211, 211], [100, 60, 50]), np.arange(1000, 1000 + 3 * MAX_CATEGORIES)])
    binning = choose_binning("gen_pdgid", values)
    assert list(binning.categories)[:3] == [22, 211, -211]
    assert len(binning.categories) == MAX_CATEGORIES
    assert binning.categories[22] == r"$\gamma$"
    assert binning.positions(np.array([5]))[0] > binning.edges[-1]


def test_integers_have_unit_bins_around_them_or_bins_of_several():
    few = choose_binning("element_num_hits", RNG.integers(0, 20, 1000))
    np.testing.assert_array_equal(few.edges, np.arange(21) - 0.5)
    many = choose_binning("num_element", RNG.integers(1000, 6000, 1000))
    widths = np.diff(many.edges)
    assert (widths == widths[0]).all()
    assert widths[0] in (100, 200)
    assert (many.edges % 1 == 0.5).all()
    assert many.edges[0] <= 1000
    assert many.edges[-1] >= 5990


def test_positive_values_with_a_long_tail_have_bins_of_equal_ratio_between_round_ends():
    binning = choose_binning("element_pt", RNG.lognormal(0, 1.5, 10_000))
    assert binning.log
    np.testing.assert_allclose(binning.edges[1:] / binning.edges[:-1], binning.edges[1] / binning.edges[0])
    for end in binning.edges[[0, -1]]:
        assert end / 10 ** np.floor(np.log10(end) + 1e-9) == pytest.approx(round(end / 10 ** np.floor(np.log10(end) + 1e-9)))
    assert not choose_binning("element_pt", RNG.lognormal(0, 1.5, 10_000), allow_log=False).log
    assert choose_binning("element_corr_energy", np.append(RNG.lognormal(0, 1.5, 10_000), [-1.0] * 500)).log  # -1 stands for "not calibrated"


def test_an_exponential_and_what_has_both_signs_have_bins_of_equal_round_width():
    for values in (RNG.exponential(3.0, 10_000), RNG.normal(5.0, 2.0, 10_000)):
        edges = choose_binning("x", values).edges
        width = edges[1] - edges[0]
        np.testing.assert_allclose(np.diff(edges), width)
        assert width / 10 ** np.floor(np.log10(width)) == pytest.approx(
            min([1, 2, 2.5, 5], key=lambda step: abs(step - width / 10 ** np.floor(np.log10(width))))
        )
        np.testing.assert_allclose(edges / width, np.round(edges / width), atol=1e-9)
        assert 25 <= len(edges) <= 70


def test_outliers_do_not_tell_the_range():
    values = np.append(RNG.normal(0, 1, 20_000), [1e9, -1e7])
    edges = choose_binning("x", values).edges
    assert -6 < edges[0] < -2.5
    assert 2.5 < edges[-1] < 6


def test_many_zeros_do_not_hide_the_rest():
    values = np.append(np.zeros(100_000), RNG.normal(30.0, 1.0, 100))
    edges = choose_binning("x", values).edges
    assert edges[0] > 20
    assert edges[-1] < 40


def test_azimuths_fill_the_circle():
    edges = choose_binning("element_phi", RNG.uniform(-np.pi, np.pi, 1000).astype(np.float32)).edges
    assert edges[[0, -1]] == pytest.approx([-np.pi, np.pi])


@pytest.mark.parametrize("value", [0.0, 7.0, -3.5, 1e12])
def test_a_constant_has_one_bin_around_it(value):
    edges = choose_binning("x", np.full(5, value)).edges
    assert len(edges) == 2
    assert edges[0] < value < edges[1]


def test_without_finite_values_there_are_no_bins():
    assert choose_binning("x", np.zeros(0)) is None
    assert choose_binning("x", np.array([np.nan, np.inf])) is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=50), st.sampled_from(["x", "element_pt", "gen_pid"]))
def test_whatever_the_values_edges_increase(values, name):
    binning = choose_binning(name, np.array(values, dtype=np.float32))
    if binning is not None:
        assert np.isfinite(binning.edges).all()
        assert (np.diff(binning.edges) > 0).all()
        assert len(binning.edges) < 200


def test_round_up_gives_the_next_of_the_series():
    assert [round_up(value, (1, 2, 5)) for value in (1, 1.1, 2, 3, 5.5, 0.03, 700)] == pytest.approx([1, 2, 2, 5, 10, 0.05, 1000])


def test_bins_of_a_parameter_file():
    np.testing.assert_allclose(BinningConfig(low=0, high=1, bins=4).values(), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(BinningConfig(low=1, high=100, bins=2, log=True).values(), [1, 10, 100])
    np.testing.assert_allclose(BinningConfig(edges=(1, 3, 4)).values(), [1, 3, 4])


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"low": 0}, "low and high"),
        ({"edges": [1, 2], "low": 0}, "either edges, or low and high"),
        ({}, "either edges, or low and high"),
        ({"edges": [2, 1]}, "have to increase"),
        ({"edges": [1]}, "two at least"),
        ({"low": 3, "high": 1}, "have to increase"),
        ({"low": 0, "high": 1, "log": True}, "above 0"),
        ({"edges": [0, 1, 10], "log": True}, "needs all edges above 0"),
        ({"low": 0, "hihg": 1}, "did you mean 'high'"),
    ],
)
def test_impossible_bins_are_refused(section, words):
    with pytest.raises(ConfigError, match=words):
        parse_section({"plot": {"binnings": {"element_pt": section}}}, "plot", PlotConfig)


def test_two_samples_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two samples are called 'a'"):
        parse_section({"plot": {"samples": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]}}, "plot", PlotConfig)
