import struct

import numpy as np
import pytest

from mlpf import schema
from mlpf.errors import MlpfError
from mlpf.io.ntuple import read_ntuple, write_ntuple
from mlpf.producer.feature_file import ntuple_features, write_feature_file
from mlpf.random_elements import random_elements
from mlpf.schema import FEATURE_INDEX


def test_the_file_is_what_a_few_lines_of_struct_write(tmp_path):
    events = [random_elements(np.random.default_rng(0), n) for n in (3, 0, 1)]
    expected = struct.pack("<8sIII", b"MLPFEVTS", 1, 55, len(events))
    for features in events:
        expected += struct.pack("<I", len(features)) + features.astype("<f4").tobytes()
    assert write_feature_file(tmp_path / "a.features", iter(events)) == 3
    assert (tmp_path / "a.features").read_bytes() == expected


def test_arrays_of_other_types_and_orders_in_memory_are_written_by_value(tmp_path):
    features = random_elements(np.random.default_rng(0), 4)
    write_feature_file(tmp_path / "a.features", [features])
    write_feature_file(tmp_path / "b.features", [np.asfortranarray(features.astype(">f8"))])
    assert (tmp_path / "a.features").read_bytes() == (tmp_path / "b.features").read_bytes()


@pytest.mark.parametrize("shape", [(3, 54), (55,), (1, 3, 55)])
def test_features_of_another_shape_are_refused_and_leave_nothing_behind(shape, tmp_path):
    with pytest.raises(MlpfError, match=r"a\.features: event 1: features of shape .*, expected \(N, 55\)"):
        write_feature_file(tmp_path / "a.features", [np.zeros((2, 55)), np.zeros(shape)])
    assert list(tmp_path.iterdir()) == []


def test_an_ntuple_gives_all_its_elements_event_by_event(repository, tmp_path):
    expected = read_ntuple(repository / "data/ttbar.root", stop=4)
    write_ntuple(tmp_path / "four.root", [expected])
    found = list(ntuple_features(repository / "data/ttbar.root", max_events=4))
    assert [len(features) for features in found] == expected.counts("element").tolist()
    together = np.concatenate(found)
    assert (together.dtype, together.shape[1]) == (np.float32, schema.NUM_FEATURES)
    for name in ("type", "pt", "eta", "charge", "sigma_z"):
        np.testing.assert_array_equal(together[:, FEATURE_INDEX[name]], expected[f"element_{name}"])
    np.testing.assert_array_equal(together[:, FEATURE_INDEX["sin_phi"]], np.sin(expected["element_phi"]))
    for one, same in zip(found, ntuple_features(tmp_path / "four.root"), strict=True):
        np.testing.assert_array_equal(one, same)
