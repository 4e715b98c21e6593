import pytest

from mlpf.config import SECTIONS, Config, load_parameters, parse_section
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


@pytest.mark.parametrize("text", ["- 1", "model: 3", "model: [", "\x00", "model: {x: 2024-13-01}", "model: {x: " + 5000 * "["])
def test_what_is_not_sections_of_keys_is_one_clear_error(file, text):
    with pytest.raises(ConfigError):
        load_parameters(file(text))


@pytest.mark.parametrize("text", ["model: {}\nloss: {}\nmodel: {inner: {}}", "loss: {model: 1, x: 2, model: 3}"])
def test_a_key_that_stands_twice_is_an_error(file, text):
    with pytest.raises(ConfigError, match="not valid YAML: 'model' stands twice"):
        load_parameters(file(text))


def test_a_key_may_stand_beside_what_it_is_merged_with(file):
    assert load_parameters(file("mix: {a: &a {x: 1, y: 1}, b: &b {<<: *a, x: 2}, c: {<<: [*b, *a], y: 3}}"))["mix"]["c"] == {"x": 2, "y": 3}


def test_a_link_to_itself_is_a_clear_error(files, tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(ConfigError, match=r"top\.yaml -> \S+/loop\.yaml: cannot read the parameter file"):
        load_parameters(files(top="defaults: [loop.yaml]") / "top.yaml")


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_parameters(tmp_path / "none.yaml")


def test_an_empty_file_and_a_missing_section_mean_defaults(file):
    assert parse_section(load_parameters(file("")), "model", Model) == Model()


def test_overrides_win_over_the_file_and_reach_nested_keys(file):
    parameters = load_parameters(file("model: {num_neighbors: 5}"), ["model.num_neighbors=7", "model.inner.width=9", "training.rate=1.5"])
    assert parse_section(parameters, "model", Model) == Model(num_neighbors=7, inner=Inner(width=9))
    assert parameters["training"] == {"rate": 1.5}


MALFORMED = ["model.num_neighbors", "=3", "model=3", "modle.x=3", "model..x=3", "model.num_neighbors.x=3", "model.num_neighbors=["]
MALFORMED += ["model.x=2024-13-01", "model.x={a: 1, a: 2}", "~model.x=3", "+model.x", "~", "~modle", ""]


@pytest.mark.parametrize("override", MALFORMED)
def test_a_malformed_override_is_an_error(file, override):
    with pytest.raises(ConfigError, match="override '"):
        load_parameters(file("model: {num_neighbors: 5}"), [override])


SOURCES = "mix: {sources: [{name: a, weight: 1}, {name: b}]}"


def test_entries_of_a_list_are_overridden_by_their_place(file):
    sources = load_parameters(file(SOURCES), ["mix.sources.0.weight=2", "+mix.sources.1.weight=3", "+mix.sources.2={name: c}"])["mix"]["sources"]
    assert sources == [{"name": "a", "weight": 2}, {"name": "b", "weight": 3}, {"name": "c"}]
    assert load_parameters(file(SOURCES), ["~mix.sources.0"])["mix"]["sources"] == [{"name": "b"}]


@pytest.mark.parametrize("override", ["2={}", "2.weight=1", "first=1", "-1=1"])
def test_places_outside_a_list_are_an_error(file, override):
    with pytest.raises(ConfigError, match=r"no entry \S+ in a list of 2, counted from 0; \+...2=value appends one"):
        load_parameters(file(SOURCES), [f"mix.sources.{override}"])


def test_only_the_next_place_is_appended_and_only_an_existing_one_removed(file):
    with pytest.raises(ConfigError, match="no entry 3 in a list of 2"):
        load_parameters(file(SOURCES), ["+mix.sources.3={}"])
    with pytest.raises(ConfigError, match=r"no '2' to remove \(there: 0, 1\)"):
        load_parameters(file(SOURCES), ["~mix.sources.2"])


def test_a_plus_adds_what_is_not_there_and_refuses_what_is(file):
    path = file("training: {epochs: 3}")
    assert load_parameters(path, ["+training.max_steps=5"])["training"] == {"epochs": 3, "max_steps": 5}
    with pytest.raises(ConfigError, match=r"override '\+training.epochs=5': it is 3 already; without the \+ it is changed"):
        load_parameters(path, ["+training.epochs=5"])


def test_a_tilde_removes_what_is_there_and_names_the_nearest_of_what_is_not(file):
    path = file("training: {epochs: 3, split: {train: 0.5}}\nloss: {}")
    assert load_parameters(path, ["~training.epochs", "~training.split.train", "~loss"]) == {"training": {"split": {}}}
    with pytest.raises(ConfigError, match=r"override '~training.epoch': no 'epoch' to remove; did you mean 'epochs'\? \(there: epochs, split\)"):
        load_parameters(path, ["~training.epoch"])
    with pytest.raises(ConfigError, match=r"no 'spilt' to remove; did you mean 'split'"):
        load_parameters(path, ["~training.spilt.train"])


def test_overrides_act_in_the_order_in_which_they_stand(file):
    path = file("model: {num_neighbors: 5}")
    assert load_parameters(path, ["~model.num_neighbors", "+model.num_neighbors=6", "model.num_neighbors=7"])["model"] == {"num_neighbors": 7}
    assert load_parameters(path, ["model={inner: {width: 2}}", "model.inner.width=4"])["model"] == {"inner": {"width": 4}}


def test_null_is_a_value_and_opens_where_a_key_is_set_inside_it(file):
    path = file("training: {mlflow: null, epochs: 3}")
    assert load_parameters(path)["training"] == {"mlflow": None, "epochs": 3}
    assert load_parameters(path, ["training.epochs=null", "training.mlflow.experiment=x"])["training"] == {"mlflow": {"experiment": "x"}, "epochs": None}


def test_an_override_of_one_alias_leaves_the_other_alone(file):
    parameters = load_parameters(file("mix: {a: &split {train: 0.5}, b: *split}"), ["mix.a.train=0.7"])
    assert parameters["mix"] == {"a": {"train": 0.7}, "b": {"train": 0.5}}


@pytest.fixture
def files(tmp_path):
    def write(**texts):
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_a_file_builds_upon_others_in_their_order_and_wins_over_them(files):
    folder = files(
        bottom="training: {epochs: 1, seed: 1, split: {train: 0.5, test: 0.5}}\nmix: {sources: [1, 2]}",
        sub__middle="defaults: [../bottom.yaml]\ntraining: {epochs: 2, split: {train: 0.6}}",
        other="training: {epochs: 3}\nloss: {huber_delta: 0.1}",
        top="defaults: [sub/middle.yaml, other.yaml]\ntraining: {learning_rate: 0.1}\nmix: {sources: [3]}",
    )
    assert load_parameters(folder / "top.yaml", ["training.split.train=0.7"]) == {
        "training": {"epochs": 3, "seed": 1, "split": {"train": 0.7, "test": 0.5}, "learning_rate": 0.1},
        "mix": {"sources": [3]},  # lists are replaced
        "loss": {"huber_delta": 0.1},
    }


def test_null_in_a_file_wins_over_what_it_builds_upon(files):
    folder = files(bottom="training: {element_weights: {power: 0.5}, epochs: 1}", top="defaults: [bottom.yaml]\ntraining: {element_weights: null}")
    assert load_parameters(folder / "top.yaml") == {"training": {"element_weights": None, "epochs": 1}}


def test_another_model_replaces_the_section_and_the_same_model_merges(files):
    folder = files(
        bottom="model: {name: gravnet, num_neighbors: 8, width: 32}",
        other="defaults: [bottom.yaml]\nmodel: {name: window, width: 64}",
        same="defaults: [bottom.yaml]\nmodel: {name: gravnet, width: 64}",
        silent="defaults: [bottom.yaml]\nmodel: {width: 64}",
    )
    assert load_parameters(folder / "other.yaml")["model"] == {"name": "window", "width": 64}
    for name in ("same", "silent"):
        assert load_parameters(folder / f"{name}.yaml")["model"] == {"name": "gravnet", "num_neighbors": 8, "width": 64}


def test_one_file_may_be_built_upon_twice_but_a_circle_names_its_chain(files):
    folder = files(
        a="defaults: [b.yaml, c.yaml]", b="defaults: [d.yaml]", c="defaults: [d.yaml]", d="loss: {x: 1}", e="defaults: [f.yaml]", f="defaults: [./e.yaml]"
    )
    assert load_parameters(folder / "a.yaml") == {"loss": {"x": 1}}
    with pytest.raises(ConfigError, match=r"/e\.yaml -> \S+/f\.yaml -> \S+/e\.yaml: defaults lead back to a file that is being read"):
        load_parameters(folder / "e.yaml")


def test_what_is_wrong_in_a_file_below_names_the_chain(files):
    folder = files(
        top="defaults: [middle.yaml]", middle="defaults: [none.yaml]", typo="defaults: [section.yaml]", section="modle: {}", text="defaults: middle.yaml"
    )
    with pytest.raises(ConfigError, match=r"/top\.yaml -> \S+/middle\.yaml -> \S+/none\.yaml: cannot read the parameter file"):
        load_parameters(folder / "top.yaml")
    with pytest.raises(ConfigError, match=r"/typo\.yaml -> \S+/section\.yaml: unknown section 'modle'; did you mean 'model'"):
        load_parameters(folder / "typo.yaml")
    with pytest.raises(ConfigError, match=r"defaults: expected a list of parameter files, found 'middle\.yaml'"):
        load_parameters(folder / "text.yaml")


def test_a_misspelt_defaults_names_the_nearest(file):
    with pytest.raises(ConfigError, match="unknown section 'default'; did you mean 'defaults'"):
        load_parameters(file("default: [x.yaml]"))
    assert "defaults" not in SECTIONS
    with pytest.raises(ConfigError, match=r"override 'defaults=\[x.yaml\]': defaults stand in a parameter file"):
        load_parameters(None, ["defaults=[x.yaml]"])


def test_overrides_of_all_kinds_pass_the_command_line(mlpf_cli, files, tmp_path):
    folder = files(bottom="simulation: {process: gun, num_events_typo: 1}", top="defaults: [bottom.yaml]\nsimulation: {process: ttbar}")
    words = ("simulate", "-p", folder / "top.yaml", "--events", 1, "--output", tmp_path / "x.root")
    assert "unknown key 'num_events_typo'" in mlpf_cli(*words)[2]
    status, _, err = mlpf_cli(*words, "~simulation.num_events_typo", "+simulation.pile_up=3")
    assert (status, "unknown key 'pile_up'" in err) == (1, True)  # the key below is gone, the added one arrived
    assert "it is 'ttbar' already" in mlpf_cli(*words, "+simulation.process=gun")[2]
    assert "no 'proces' to remove; did you mean 'process'?" in mlpf_cli(*words, "~simulation.proces")[2]
