import numpy as np
import pytest

from mlpf.io.shards import ShardedDataset
from mlpf.plotting.style import new_figure, style
from mlpf.plotting.validation import MAX_NAME, _draw_ratio, draw_difference, draw_matrix, draw_p_values, draw_validation, worst
from mlpf.samples.validation.compare import validate
from mlpf.samples.validation.config import ValidationConfig


@pytest.fixture
def validation(random_dataset, write_dataset):
    """Three chunks of 100 events, of which the last has twice the pt of elements."""
    events = random_dataset(300, 30.0)
    last = np.repeat(np.arange(300) >= 200, events.counts("element"))
    folder = write_dataset(events.with_columns({"element_pt": events["element_pt"] * np.where(last, 2.0, 1.0)}))
    return validate(ShardedDataset(folder), ValidationConfig(chunks=3))


def test_all_figures_are_written(validation, tmp_path):
    names = draw_validation(validation, tmp_path)
    assert names == ["p_values.png", "matrix.png", "worst_1.png", "worst_2.png", "worst_3.png", "worst_4.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_every_p_value_is_drawn(validation):
    with style():
        frequency, order = draw_p_values(validation).axes
    assert sum(bar.get_height() for bar in frequency.patches if bar.get_width() == pytest.approx(0.05)) == len(validation.tests)
    drawn = np.concatenate([line.get_ydata() for line in order.lines[:2]])
    np.testing.assert_allclose(np.sort(drawn), np.sort([max(test.p, 1e-20) for test in validation.tests]))


def test_the_matrix_holds_every_test_and_marks_those_beyond_the_threshold(validation):
    with style():
        axes = draw_matrix(validation).axes[0]
    values = axes.images[0].get_array()
    assert np.isfinite(values).sum() == len(validation.tests)
    assert values.shape == (len(axes.get_yticklabels()), 3)
    assert len(axes.lines[0].get_xdata()) == sum(test.p < validation.bonferroni for test in validation.tests) > 0
    row = [text.get_text() for text in axes.get_yticklabels()].index("pt in type TRACK (ks)")
    expected = [test.p for test in validation.tests if (test.quantity, test.within, test.bin) == ("pt", "type", "TRACK")]
    np.testing.assert_allclose(values[row], -np.log10(np.maximum(expected, 1e-20)))


def test_the_worst_are_different_quantities(validation):
    chosen = worst(validation)
    assert len({(test.quantity, test.within, test.bin) for test in chosen}) == 4
    assert chosen[0] == validation.worst
    assert chosen[0].quantity == "pt"


def test_both_distributions_their_ratio_and_the_largest_difference_are_drawn(validation):
    test = next(t for t in validation.tests if (t.quantity, t.within, t.bin, t.part) == ("pt", "type", "TRACK", 2))
    with style():
        top, ratio, bottom = draw_difference(validation, test).axes
    labels = [text.get_text() for text in top.get_legend().get_texts()]
    assert labels == ["chunk 2: 100 events", "the rest: 200 events"]
    assert np.abs(bottom.lines[0].get_ydata()).max() == pytest.approx(test.statistic)
    points = ratio.containers[0].lines[0]
    upwards = np.polyfit(np.log(points.get_xdata()), points.get_ydata(), 1)[0]
    assert upwards > 0  # the part has the larger pt


def test_shares_of_categories_are_drawn_as_entries_per_event(validation):
    test = next(t for t in validation.tests if t.quantity == "type" and t.part == 0)
    with style():
        top, ratio = draw_difference(validation, test).axes
    names = [text.get_text() for text in ratio.get_xticklabels()]
    assert names == ["TRACK", "ECAL", "HCAL", "GSF", "HFEM", "HFHAD"]
    drawn = [bar.get_height() for bar in top.patches][:6]
    content = validation.sums.counts["type"].counts[0] / 100
    np.testing.assert_allclose(drawn, content[content > 0])


def test_the_ratio_shows_what_is_known_and_leaves_out_what_is_not():
    values = np.array([[0.3, 0.33, 0.27, 0.0003], [0.3, 0.3, 0.3, 0.0001]])
    errors = np.array([[0.003, 0.003, 0.003, 0.0003], [0.001] * 3 + [0.0001]])
    with style():
        axes = new_figure(4.0, 3.0).subplots()
        _draw_ratio(axes, np.arange(4.0), np.arange(5.0), values, errors)
    np.testing.assert_allclose(axes.get_ylim(), (0.87, 1.13))  # not up to the last one's 3 +- 3


def test_long_names_of_files_leave_room_for_the_matrix(random_dataset, write_dataset):
    dataset = ShardedDataset(write_dataset(random_dataset(100, 30.0)))
    dataset.manifest["sources"] = [{"file": "/store/mc/" + "long/" * 30 + "ntuple_7.root"}]
    with style():
        axes = draw_matrix(validate(dataset, ValidationConfig(chunks=2))).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert max(map(len, names)) <= MAX_NAME
    assert any(name.startswith("pt in source /store") and name.endswith("ntuple_7.root (ks)") for name in names)
