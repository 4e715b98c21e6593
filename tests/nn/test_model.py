import subprocess
import sys

import pytest

from mlpf.errors import ConfigError
from mlpf.nn.model import GravNetConfig, GravNetModel, WindowConfig, build_model, model_config, num_parameters


def test_the_section_chooses_the_model_and_its_config():
    config = model_config({"model": {"name": "gravnet", "width": 16}})
    assert config == GravNetConfig(width=16)
    assert isinstance(build_model(config), GravNetModel)


def test_without_a_section_the_model_is_the_default_one():
    assert model_config({}) == WindowConfig()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "gravnett"}, r"a.yaml: model: unknown name 'gravnett'; did you mean 'gravnet'\?"),
        ({"name": "gravnet", "num_neighbours": 3}, r"a.yaml: model: unknown key 'num_neighbours'; did you mean 'num_neighbors'\?"),
        ({"name": "gravnet", "num_neighbors": 1}, r"a.yaml: model: num_neighbors: .*greater than or equal to 2 \(found 1\)"),
        ({"name": "gravnet", "window_size": 3}, r"model: 'window_size' is a key of window, not of gravnet; .* 'model=\{name: gravnet\}'"),
        ({"name": ["window"]}, r"a.yaml: model: unknown name \['window'\]; did you mean 'window'\?"),
        (None, r"a.yaml: model: .*valid dictionary.*\(found None\)"),
        ("window", r"a.yaml: model: .*valid dictionary.*\(found 'window'\)"),
    ],
)
def test_mistakes_in_the_section_name_place_and_remedy(section, message):
    with pytest.raises(ConfigError, match=message):
        model_config({"model": section}, "a.yaml")


@pytest.mark.parametrize("module", ["base", "gravnet"])
def test_a_model_file_imports_on_its_own(module):
    # what a new model imports must not import the table that imports the new model
    code = f"import sys, mlpf.nn.{module}; sys.exit('mlpf.nn.model' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_number_of_parameters_is_that_of_the_layers_written_out():
    width, propagate, inputs = 8, 4, 52 + 4 + 5 + 3
    gravnet = width * 3 + 3 * 3 + (width + 1) * propagate + (width + 2 * propagate + 1) * 2 * width + (2 * width + 1) * width
    heads = sum((width + 1) * width + (width + 1) * out for out in (2, 8, 5, 1, 3))
    expected = 12 * 5 + (inputs + 1) * 2 * width + (2 * width + 1) * width + gravnet + 2 * 2 * width + heads
    assert num_parameters(build_model(GravNetConfig(width=width, num_layers=1, space_dim=3, propagate_dim=propagate, embedding_dim=5))) == expected
