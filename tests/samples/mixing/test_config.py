import pytest

from mlpf.config import parse_section
from mlpf.errors import ConfigError
from mlpf.samples.mixing.config import MixConfig

SOURCE = {"name": "a", "type": "t", "datasets": ["output/a"]}


def problem_with(**options):
    with pytest.raises(ConfigError) as raised:
        parse_section({"mix": {"sources": [SOURCE], **options}}, "mix", MixConfig, "x.yaml")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_section_with_sources_alone_is_enough():
    config = parse_section({"mix": {"sources": [SOURCE]}}, "mix", MixConfig)
    assert config.sources[0].weight == 1.0
    assert config.bins == {}


def test_the_section_needs_sources():
    with pytest.raises(ConfigError, match="mix: sources: Field required"):
        parse_section({}, "mix", MixConfig)
    assert "sources" in problem_with(sources=[])


def test_an_unknown_variable_is_an_error_that_lists_the_known_ones():
    message = problem_with(bins={"jet_pt": [0, 1]})
    assert message.startswith("x.yaml: mix: bins.jet_pt")
    assert "'leading_jet_pt'" in message


@pytest.mark.parametrize("edges", [[], [1], [1, 1], [2, 1], [0, float("nan")], [float("nan"), 1]])
def test_edges_must_increase(edges):
    assert "each larger than the one before" in problem_with(bins={"ht": edges})


def test_the_last_edge_may_be_infinite():
    assert parse_section({"mix": {"sources": [SOURCE], "bins": {"ht": [0, float("inf")]}}}, "mix", MixConfig).bins["ht"][1] == float("inf")


def test_sources_of_equal_name_are_an_error():
    assert "2 sources have the name 'a'" in problem_with(sources=[SOURCE, SOURCE])


def test_a_name_that_is_no_folder_name_is_an_error():
    assert "sources.0.name" in problem_with(sources=[{**SOURCE, "name": "../a"}])


def test_a_weight_must_be_positive_and_finite():
    for weight in (0, -1, float("inf"), float("nan")):
        assert "sources.0.weight" in problem_with(sources=[{**SOURCE, "weight": weight}])


def test_a_broken_regular_expression_is_an_error():
    assert "'re:a(' is no regular expression" in problem_with(sources=[{**SOURCE, "datasets": ["re:a("]}])


def test_what_tells_events_apart_cannot_be_disabled():
    assert "'event' tells events apart" in problem_with(disabled_columns=["event"])


def test_an_unknown_key_names_the_nearest():
    assert "did you mean 'max_bin_occupancy'" in problem_with(max_occupancy_bin=3)
