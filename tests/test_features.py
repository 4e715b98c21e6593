from pathlib import Path

import numpy as np
import pytest

from mlpf import schema
from mlpf.features import consumer_elements, element_features
from mlpf.io.ntuple import read_ntuple

# The order of ElementFeatures::as_array() of the CMSSW producer, written down a second time.
CONSUMER_ORDER = """type pt eta sin_phi cos_phi energy layer depth charge trajpoint eta_ecal phi_ecal eta_hcal phi_hcal muon_dt_hits muon_csc_hits muon_type
px py pz deltap sigmadeltap gsf_electronseed_trkorecal gsf_electronseed_dnn1 gsf_electronseed_dnn2 gsf_electronseed_dnn3 gsf_electronseed_dnn4
gsf_electronseed_dnn5 num_hits cluster_flags corr_energy corr_energy_err vx vy vz pterror etaerror phierror lambda lambdaerror theta thetaerror time timeerror
etaerror1 etaerror2 etaerror3 etaerror4 phierror1 phierror2 phierror3 phierror4 sigma_x sigma_y sigma_z""".split()


def test_each_feature_holds_the_column_of_its_name_from_a_real_tree():
    events = read_ntuple(Path(__file__).parent / "io" / "files" / "cpp_2026.root")
    features = element_features(events)
    assert features.shape == (events.size("element"), 55)
    assert features.dtype == np.float32
    for i, name in enumerate(CONSUMER_ORDER):
        if name in ("sin_phi", "cos_phi"):
            expected = getattr(np, name[:3])(events["element_phi"].astype(np.float64))
        else:
            expected = events[f"element_{name}"]
        assert features[:, i] == pytest.approx(expected, abs=1e-6), name


def test_the_consumer_drops_preshower_and_brem():
    kept = consumer_elements(np.arange(12))
    assert np.flatnonzero(~kept).tolist() == [2, 3, 7]


def test_columns_that_a_file_lacks_become_zero_features():
    events = read_ntuple(Path(__file__).parent / "io" / "files" / "cpp_2020.root")
    assert not element_features(events)[:, schema.FEATURE_INDEX["time"]].any()
