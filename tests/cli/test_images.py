import numpy as np
import pytest

from mlpf.graph.images import read_images
from mlpf.io.shards import ShardedDataset
from mlpf.testing import random_dataset


@pytest.fixture
def dataset(tmp_path):
    return random_dataset(tmp_path / "dataset", 20, 30)


def test_images_of_a_dataset_hold_the_energy_of_its_elements(dataset, tmp_path, mlpf_cli):
    output = tmp_path / "images.parquet"
    status, out, err = mlpf_cli("images", dataset, "--output", output)
    assert status == 0, err
    assert "20 events" in out
    rows, stored = ShardedDataset(dataset).read(), read_images(output)
    np.testing.assert_array_equal(stored.event, rows["event"])
    images = stored.images["elements"]
    inside = (np.abs(rows["element_eta"]) < 5.2) & np.isin(rows["element_type"], stored.config.types)
    assert images.values.sum() == pytest.approx(rows["element_energy"][inside].sum(), rel=1e-4)
    assert (images.num_outside.sum() + inside.sum()) == np.isin(rows["element_type"], stored.config.types).sum()


def test_a_parameter_file_chooses_the_bins_and_one_event_can_be_drawn(dataset, tmp_path, mlpf_cli):
    parameters = tmp_path / "images.yaml"
    parameters.write_text("images: {num_eta: 10, num_phi: 6, contents: [targets]}")
    mlpf_cli("images", dataset, "-p", parameters, "--output", tmp_path / "images.parquet")
    assert read_images(tmp_path / "images.parquet").images["targets"].values.shape[2:] == (10, 6)
    mlpf_cli("images", dataset, "-p", parameters, "--event", 3, "--output", tmp_path / "event.png")
    assert (tmp_path / "event.png").read_bytes().startswith(b"\x89PNG")
