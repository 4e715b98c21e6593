import matplotlib as mpl
import numpy as np
import pytest

from mlpf.errors import MlpfError
from mlpf.graph.images import ImageConfig, eta_phi_images
from mlpf.plotting.images import draw_images

CONFIG = ImageConfig(num_eta=20, num_phi=12)


def test_every_channel_is_drawn_with_its_sum(random_dataset, tmp_path):
    values = eta_phi_images(random_dataset(1), CONFIG).values[0]
    draw_images(values, CONFIG, tmp_path / "image.svg", title="of event 0")
    text = (tmp_path / "image.svg").read_text()
    assert "elements of event 0" in text
    for channel, image in zip(CONFIG.types, values, strict=True):
        assert f"{channel.name}: {image.sum():.4g} GeV" in text


def test_what_is_drawn_is_where_the_energy_is(tmp_path):
    values = np.zeros((7, 20, 12), dtype=np.float32)
    draw_images(values, CONFIG, tmp_path / "empty.png", "targets")
    values[0, :, 6:] = 1.0  # the upper half of the first of the panels, which is top left
    draw_images(values, CONFIG, tmp_path / "half.png", "targets")
    empty, half = (mpl.image.imread(tmp_path / f"{name}.png")[..., :3] for name in ("empty", "half"))
    rows, columns = np.nonzero((np.abs(empty - half).max(axis=2) > 0.1)[:, : int(0.85 * empty.shape[1])])
    assert rows.max() < 0.5 * empty.shape[0]
    assert np.quantile(columns, 0.9) < 0.3 * empty.shape[1]


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(MlpfError, match=r"unknown format '\.gif'"):
        draw_images(np.zeros((7, 20, 12)), CONFIG, tmp_path / "image.gif")
