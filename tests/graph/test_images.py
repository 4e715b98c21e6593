import numpy as np
import pyarrow.parquet as pq
import pydantic
import pytest

from mlpf.errors import DatasetError
from mlpf.events import Events
from mlpf.graph.images import ImageConfig, eta_phi_images, images_table, read_images, write_images
from mlpf.schema import ElementType
from mlpf.testing import random_events

CONFIG = ImageConfig(num_eta=13, num_phi=9, eta_range=(-2.0, 3.0))


def elements(eta, phi, kind=ElementType.ECAL, energy=1.0):
    eta, phi = np.broadcast_arrays(np.asarray(eta, dtype=np.float64), phi)
    columns = {"element_eta": eta, "element_phi": phi, "element_type": np.full(len(eta), kind), "element_energy": np.full(len(eta), energy)}
    return Events(columns, {"element": [0, len(eta)]}, 1)


@pytest.mark.parametrize("quantity", ["energy", "pt", "count"])
def test_images_of_elements_are_histograms(quantity):
    events = random_events(np.random.default_rng(1), 20, 200)
    config = CONFIG.model_copy(update={"quantity": quantity})
    images = eta_phi_images(events, config)
    assert images.values.dtype == np.float32
    for i in range(len(events)):
        one = events.slice(i, i + 1)
        eta, phi, kind = (one[f"element_{name}"].astype(np.float64) for name in ("eta", "phi", "type"))
        weight = np.ones(len(eta)) if quantity == "count" else one[f"element_{quantity}"]
        for c, wanted in enumerate(config.types):
            own = kind == wanted
            expected, *_ = np.histogram2d(eta[own], phi[own], (config.eta_edges, config.phi_edges), weights=weight[own])
            np.testing.assert_allclose(images.values[i, c], expected, rtol=1e-5)
            assert images.num_outside[i, c] == own.sum() - np.histogram(eta[own], config.eta_edges)[0].sum()
    assert images.num_outside.sum() > 0


@pytest.mark.parametrize("content", ["targets", "candidates"])
def test_images_of_targets_and_candidates_are_histograms_by_class(random_dataset, content):
    events = random_dataset(20)
    images, prefix = eta_phi_images(events, CONFIG, content), content[:-1]
    phi = np.arctan2(events[f"{prefix}_sin_phi"], events[f"{prefix}_cos_phi"]).astype(np.float64)
    for c, wanted in enumerate(CONFIG.classes):
        own = events[f"{prefix}_class"] == wanted
        edges = (CONFIG.eta_edges, CONFIG.phi_edges)
        expected, *_ = np.histogram2d(events[f"{prefix}_eta"][own], phi[own], edges, weights=events[f"{prefix}_energy"][own])
        np.testing.assert_allclose(images.values[:, c].sum(axis=0), expected, rtol=1e-5)


def test_on_an_edge_a_value_belongs_to_the_bin_above():
    config = ImageConfig(num_eta=48, num_phi=64, eta_range=(-0.75, 0.75), quantity="count", types=("ECAL",))  # edges that float32 holds exactly
    images = eta_phi_images(elements(config.eta_edges, 0.0), config)
    assert images.values[0, 0, :, 32].tolist() == [1] * 48
    assert images.num_outside[0, 0] == 1  # the last edge
    below = np.nextafter(config.eta_edges.astype(np.float32), np.float32(-9))
    assert eta_phi_images(elements(below, 0.0), config).num_outside[0, 0] == 1  # the first


@pytest.mark.parametrize("num_eta", [7, 77, 333])
def test_bins_agree_with_numpy_where_division_rounds(num_eta):
    config = ImageConfig(num_eta=num_eta, num_phi=1, eta_range=(-1.1, 0.7), quantity="count", types=("ECAL",))
    near = config.eta_edges[:-1].astype(np.float32)
    eta = np.concatenate([near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))])
    assert eta_phi_images(elements(eta, 0.0), config).values[0, 0, :, 0].tolist() == np.histogram(eta.astype(np.float64), config.eta_edges)[0].tolist()


def test_phi_is_periodic():
    config = ImageConfig(num_eta=1, num_phi=4, quantity="count", types=("ECAL",))
    for turns in (-3, -1, 0, 1, 7):
        phi = np.array([-3.1, -1.6, -1.5, -0.1, 0.1, 1.5, 1.6, 3.1]) + 2 * np.pi * turns
        assert eta_phi_images(elements(np.zeros(8), phi), config).values[0, 0, 0].tolist() == [2, 2, 2, 2]
    above_pi = np.float32(np.pi)  # 3.14159274, beyond pi: the first bin; -3.14159274 the last
    assert eta_phi_images(elements([0.0, 0.0], [above_pi, -above_pi]), config).values[0, 0, 0].tolist() == [1, 0, 0, 1]


def test_rotating_an_event_by_a_bin_rolls_the_image():
    events = random_events(np.random.default_rng(2), 5, 100)
    rotated = events.with_columns({"element_phi": events["element_phi"] + np.float32(2 * np.pi / CONFIG.num_phi * 4)})
    first, second = (eta_phi_images(e, CONFIG).values for e in (events, rotated))
    np.testing.assert_allclose(np.roll(first, 4, axis=-1), second, rtol=1e-5)


def test_what_is_not_finite_is_counted_as_outside():
    events = elements([0.0, np.nan, np.inf, 0.0, 9.0], [0.0, 0.0, 0.0, np.nan, 0.0])
    images = eta_phi_images(events, CONFIG)
    channel = CONFIG.types.index(ElementType.ECAL)
    assert images.num_outside[0, channel] == 4
    assert images.values.sum() == 1.0
    assert images.num_outside.sum() == 4


@pytest.mark.parametrize("kind", [ElementType.PS1, 12, 2**31 - 1, -1, -9, -(2**31)])
def test_other_types_are_in_no_image_and_not_outside(kind):
    images = eta_phi_images(elements([0.0, 9.0], 0.0, kind=kind), CONFIG)
    assert images.values.sum() == 0.0
    assert images.num_outside.sum() == 0


@pytest.mark.parametrize("num_events", [0, 1, 70])
def test_written_images_are_read_back(random_dataset, tmp_path, num_events):
    events = random_dataset(80).slice(10, 10 + num_events)
    config = ImageConfig(contents=("elements", "targets", "candidates"), num_eta=10, num_phi=6, types=("ECAL", 5), classes=("PHOTON", 130))
    half = num_events // 2
    assert write_images(tmp_path / "i.parquet", [images_table(events.slice(*ends), config) for ends in ((0, half), (half, num_events))]) == num_events
    stored = read_images(tmp_path / "i.parquet")
    assert stored.config == config
    for name in ("event", "run", "lumi"):
        assert getattr(stored, name).tolist() == events[name].tolist()
    for content, images in stored.images.items():
        expected = eta_phi_images(events, config, content)
        assert np.array_equal(images.values, expected.values)
        assert images.values.dtype == np.float32
        assert np.array_equal(images.num_outside, expected.num_outside)


def test_a_tensor_column_names_its_dimensions(random_dataset):
    kind = images_table(random_dataset(2), CONFIG).schema.field("image_elements").type
    assert (kind.shape, kind.dim_names) == ([7, 13, 9], ["channel", "eta", "phi"])


def test_stored_images_are_small(random_dataset, tmp_path):
    events, config = random_dataset(64), ImageConfig()
    table = images_table(events, config)
    write_images(tmp_path / "i.parquet", [table])
    assert (tmp_path / "i.parquet").stat().st_size < table.nbytes / 30


def test_files_without_images_are_one_clear_error(random_dataset, write_dataset, tmp_path):
    shard = write_dataset(random_dataset(2)) / "shard.parquet"
    with pytest.raises(DatasetError, match=r"shard\.parquet: holds no images"):
        read_images(shard)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    for name in ("bad.parquet", "none.parquet"):
        with pytest.raises(DatasetError, match="not readable as Parquet"):
            read_images(tmp_path / name)
    with pytest.raises(DatasetError, match="nothing to write"):
        write_images(tmp_path / "i.parquet", [])
    assert pq.read_metadata(shard).num_rows == 2


@pytest.mark.parametrize(
    ("values", "problem"),
    [({"eta_range": (1.0, -1.0)}, "first edge must lie below"), ({"types": ("ECAL", 4)}, "each once"), ({"types": ()}, "at least one"),
     ({"types": ("ECALO",)}, "ECALO"), ({"num_phi": 0}, "greater than 0"), ({"contents": ()}, "at least 1"), ({"eta_range": (0.0, np.inf)}, "finite")],
)  # fmt: skip
def test_impossible_configurations_are_refused(values, problem):
    with pytest.raises(pydantic.ValidationError, match=problem):
        ImageConfig(**values)
