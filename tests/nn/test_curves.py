import numpy as np
import onnxruntime
import pytest
import torch
from scipy.spatial import cKDTree

from mlpf.nn.curves import CELLS, CurveKeys, hilbert_tables, turns
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.nn.window import curve_windows
from mlpf.schema import FEATURE_INDEX, ElementType
from mlpf.testing import random_features

PREPROCESS = FeaturePreprocessor(4)


def elements_of(features):
    features = torch.from_numpy(features)
    return PREPROCESS(features, torch.ones(features.shape[:2], dtype=torch.bool))


def elements_at(eta, phi):
    """One event of clusters."""
    features = np.zeros((1, len(eta), 55), dtype=np.float32)
    features[0, :, :5] = np.stack([np.full(len(eta), ElementType.ECAL), np.ones(len(eta)), eta, np.sin(phi), np.cos(phi)], axis=-1)
    return elements_of(features)


def hilbert(bits):
    """Cells in the order of the curve from (0, 0) to (side - 1, 0), by Hilbert's construction of four smaller ones."""
    if bits == 0:
        return [(0, 0)]
    half, before = 2 ** (bits - 1), hilbert(bits - 1)
    return (
        [(y, x) for x, y in before]
        + [(x, y + half) for x, y in before]
        + [(x + half, y + half) for x, y in before]
        + [(2 * half - 1 - y, half - 1 - x) for x, y in before]
    )


@pytest.mark.parametrize("bits", [0, 1, 2, 5])
def test_the_table_is_the_curve_by_construction(bits):
    number, _ = hilbert_tables(bits)
    cells = np.array(hilbert(bits))
    np.testing.assert_array_equal(number[0][cells[:, 0], cells[:, 1]], np.arange(4**bits))


@pytest.mark.parametrize("orientation", range(4))
def test_every_orientation_visits_each_cell_once_in_steps_of_one_cell(orientation):
    number, _ = hilbert_tables(4)
    cells = np.stack(np.unravel_index(np.argsort(number[orientation].ravel()), (16, 16)), axis=1)
    assert sorted(number[orientation].ravel()) == list(range(256))
    assert (np.abs(np.diff(cells, axis=0)).sum(axis=1) == 1).all()


def test_curves_inside_of_cells_continue_each_other():
    """The curve of 8 bits from two tables of 4 bits is the one made at once."""
    number, inside = hilbert_tables(4)
    x, y = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    found = 256 * number[0][x // 16, y // 16] + number[inside[x // 16, y // 16], x % 16, y % 16]
    np.testing.assert_array_equal(found, hilbert_tables(8)[0][0])


def test_a_curve_visits_the_cylinder_once_in_steps_of_one_cell():
    x, y = (axis.ravel() for axis in torch.meshgrid(torch.arange(2.0 * CELLS), torch.arange(1.0 * CELLS), indexing="ij"))
    order = CurveKeys(1).index(x, y).long()
    at = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    assert sorted(order.tolist()) == list(range(2 * CELLS**2))
    assert torch.all((x[at].diff().abs() + y[at].diff().abs()) == 1)


def test_phi_by_basic_operations_is_that_of_numpy():
    phi = np.linspace(-np.pi, np.pi, 100_001).astype(np.float32)
    found = turns(elements_at(np.zeros(len(phi)), phi))[0].numpy()
    expected = np.arctan2(np.sin(phi), np.cos(phi)) / (2 * np.pi)
    assert np.abs((found - expected + 0.5) % 1.0 - 0.5).max() < 2e-6  # 1.2e-5 rad


def test_phi_of_a_direction_that_is_none_is_zero():
    features = np.zeros((1, 1, 55), dtype=np.float32)
    assert turns(elements_of(features)).item() == 0.0


def test_tracks_are_placed_where_they_reach_the_ecal_and_other_elements_where_they_are():
    features = random_features(200, seed=3)[None]
    kind, column = features[0, :, 0], {name: features[0, :, i] for name, i in FEATURE_INDEX.items()}
    expected = np.where(kind == ElementType.TRACK, column["phi_ecal"], np.arctan2(column["sin_phi"], column["cos_phi"])) / (2 * np.pi)
    difference = turns(elements_of(features))[0].numpy() - expected
    assert np.abs((difference + 0.5) % 1.0 - 0.5).max() < 2e-6


def test_a_shifted_curve_is_the_first_one_for_elements_that_are_shifted_around_the_cylinder():
    rng = np.random.default_rng(0)
    cell = 2 * np.pi / CELLS
    x, y = rng.integers(0, 2 * CELLS, 500), rng.integers(0, CELLS, 500)
    shifted = elements_at(((x + CELLS // 3) % (2 * CELLS) + 0.5 - CELLS) * cell, (y + CELLS // 3 + 0.5) * cell)
    keys = CurveKeys(3)(elements_at((x + 0.5 - CELLS) * cell, (y + 0.5) * cell)).floor()
    assert torch.equal(keys[1], CurveKeys(1)(shifted)[0].floor())


def test_whole_turns_of_phi_change_nothing():
    features = random_features(300, seed=1)[None]
    features[..., 0] = ElementType.TRACK
    features[..., FEATURE_INDEX["phi_ecal"]] = (np.random.default_rng(0).integers(0, CELLS, 300) + 0.5) * 2 * np.pi / CELLS
    turned = features.copy()
    turned[..., FEATURE_INDEX["phi_ecal"]] -= 6 * np.pi
    assert torch.equal(CurveKeys(3)(elements_of(features)).floor(), CurveKeys(3)(elements_of(turned)).floor())


def test_keys_depend_on_the_content_of_an_element_not_on_its_row():
    features = random_features(400, seed=2)[None]
    features[..., 2:5] = 0.5, 0.0, 1.0  # all clusters in one cell
    order = np.random.default_rng(0).permutation(400)
    keys = CurveKeys(3)(elements_of(features))
    assert torch.equal(CurveKeys(3)(elements_of(features[:, order])), keys[:, :, order])
    assert all(len(set(curve.tolist())) == 400 for curve in keys[:, 0])


def test_the_order_inside_of_a_cell_is_by_fixed_integer_arithmetic():
    """Written out in Python's integers: no release of another library can change it, nor what a saved model predicts."""
    features = random_features(50, seed=5)[None]
    clean = elements_of(features).clean[0].numpy().astype(np.float64)
    expected = [sum(int(value * 2**20) * pow(25173, i, 2**16) for i, value in enumerate(element)) % 2**30 / 2**30 for element in clean]
    keys = CurveKeys(1)(elements_of(features))[0, 0].numpy()
    np.testing.assert_array_equal(keys - np.floor(keys), expected)


def test_whole_numbers_exchanged_between_any_two_features_give_another_key():
    """One more hit, one layer less: with weights drawn at random some of the 1485 pairs would not show."""
    pairs = np.array([(a, b) for a in range(55) for b in range(a) if not {a, b} & {0, 2, 3, 4}])  # not the type and the position
    features = np.full((1, len(pairs) + 1, 55), 2.0, dtype=np.float32)
    features[..., :5] = ElementType.ECAL, 2.0, 0.5, 0.0, 1.0
    features[0, np.arange(len(pairs)), pairs[:, 0]] += 1.0
    features[0, np.arange(len(pairs)), pairs[:, 1]] -= 1.0
    keys = CurveKeys(1)(elements_of(features))[0, 0]
    assert not (keys[:-1] == keys[-1]).any()


def test_absurd_positions_have_finite_keys_inside_of_the_curve():
    features = random_features(60, seed=4)[None]
    features[0, :10, 2] = 10.0
    features[0, 10:20, 2] = -1e30
    features[0, 20:30, 10:12] = 1e30, -1e30
    features[0, 30:40, :] = np.nan
    keys = CurveKeys(3)(elements_of(features))
    assert keys.min() >= 0
    assert keys.max() < 2 * CELLS**2


class Keys(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.keys = CurveKeys(3)
        self.preprocess = FeaturePreprocessor(4)

    def forward(self, features):
        return self.keys(self.preprocess(features, torch.ones_like(features[..., 0], dtype=torch.bool)))


def test_keys_have_the_same_bits_in_onnx_runtime(tmp_path):
    axes = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
    example = torch.from_numpy(random_features(40)).view(2, 20, 55)
    program = torch.onnx.export(Keys().eval(), (example,), dynamo=True, opset_version=20, dynamic_shapes=axes, verbose=False)
    program.save(tmp_path / "keys.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "keys.onnx", providers=["CPUExecutionProvider"])
    features = random_features(6000, seed=7).reshape(2, 3000, 55)
    features[0, :100, 10] = 1e30
    (found,) = session.run(None, {session.get_inputs()[0].name: features})
    np.testing.assert_array_equal(found, Keys()(torch.from_numpy(features)).numpy())


def clustered_event(num_elements, seed=0):
    """Half of the elements in 20 jets of width 0.1, half anywhere."""
    rng = np.random.default_rng(seed)
    jets = rng.integers(0, 20, num_elements)
    in_jet = rng.random(num_elements) < 0.5
    eta = np.where(in_jet, rng.uniform(-2, 2, 20)[jets] + rng.normal(0, 0.1, num_elements), rng.uniform(-5, 5, num_elements))
    phi = np.where(in_jet, rng.uniform(-np.pi, np.pi, 20)[jets] + rng.normal(0, 0.1, num_elements), rng.uniform(-np.pi, np.pi, num_elements))
    return eta, phi


@pytest.mark.parametrize(("num_curves", "expected"), [(1, 0.7), (2, 0.9), (3, 0.97), (4, 0.99)])
def test_the_nearest_elements_share_a_window_with_an_element(num_curves, expected):
    """Of the 16 nearest in (eta, phi), found by a k-d tree; windows of 64 of 3000 elements in random order would hold 2 %."""
    eta, phi = clustered_event(3000)
    nearest = cKDTree(np.stack([eta + 100.0, phi % (2 * np.pi)], axis=1), boxsize=[1e4, 2 * np.pi]).query(
        np.stack([eta + 100.0, phi % (2 * np.pi)], axis=1), 17
    )[1]
    together = np.zeros(nearest.shape, dtype=bool)
    for window in curve_windows(CurveKeys(num_curves)(elements_at(eta, phi)), torch.ones(1, 3000, dtype=torch.bool), 64):
        group = window.slot[0].numpy() // 64
        together |= group[nearest] == group[:, None]
    assert together[:, 1:].mean() > expected
