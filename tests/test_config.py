import pytest

from mlpf.config import Config, load_parameters, parse_section
from mlpf.errors import ConfigError


class Inner(Config):
    width: int = 3


class Model(Config):
    num_neighbors: int = 16
    max_delta_r: float = 0.4
    inner: Inner = Inner()


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "p.yaml"
        path.write_text(text)
        return path

    return write


def test_a_misspelt_key_names_file_section_and_the_nearest_key(file):
    path = file("model: {num_neighbours: 5}")
    with pytest.raises(ConfigError) as error:
        parse_section(load_parameters(path), "model", Model, path)
    assert str(error.value) == f"{path}: model: unknown key 'num_neighbours'; did you mean 'num_neighbors'? (known: num_neighbors, max_delta_r, inner)"


def test_a_misspelt_key_in_a_nested_section_names_that_sections_keys(file):
    with pytest.raises(ConfigError, match=r"unknown key 'inner.widht'; did you mean 'width'\? \(known: width\)"):
        parse_section(load_parameters(file("model: {inner: {widht: 5}}")), "model", Model)


def test_a_wrong_type_names_key_and_value(file):
    with pytest.raises(ConfigError, match=r"model: num_neighbors: .*integer.*found 'many'"):
        parse_section(load_parameters(file("model: {num_neighbors: many}")), "model", Model)


def test_an_unknown_section_is_an_error(file):
    with pytest.raises(ConfigError, match="unknown section 'modle'; did you mean 'model'"):
        load_parameters(file("modle: {}"))


@pytest.mark.parametrize("text", ["- 1", "model: 3", "model: [", "\x00"])
def test_what_is_not_sections_of_keys_is_one_clear_error(file, text):
    with pytest.raises(ConfigError):
        load_parameters(file(text))


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_parameters(tmp_path / "none.yaml")


def test_an_empty_file_and_a_missing_section_mean_defaults(file):
    assert parse_section(load_parameters(file("")), "model", Model) == Model()


def test_overrides_win_over_the_file_and_reach_nested_keys(file):
    parameters = load_parameters(file("model: {num_neighbors: 5}"), ["model.num_neighbors=7", "model.inner.width=9", "training.rate=1.5"])
    assert parse_section(parameters, "model", Model) == Model(num_neighbors=7, inner=Inner(width=9))
    assert parameters["training"] == {"rate": 1.5}


@pytest.mark.parametrize("override", ["model.num_neighbors", "=3", "model=3", "modle.x=3", "model..x=3", "model.num_neighbors.x=3", "model.num_neighbors=["])
def test_a_malformed_override_is_an_error(file, override):
    with pytest.raises(ConfigError):
        load_parameters(file("model: {num_neighbors: 5}"), [override])
