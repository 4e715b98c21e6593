import numpy as np
import pytest

from mlpf.simulation.tracker.muons import muon_hits

NUMBER = 20_000
GLOBAL, TRACKER, STANDALONE, PF = 2, 4, 8, 32


@pytest.fixture
def shoot(particles):
    def make(pdgid, pt, eta, number=NUMBER):
        return particles(pdgid, -1, np.tile([pt, 0.0, pt * np.sinh(eta)], (number, 1)))

    return make


def test_muons_have_hits_in_the_stations_of_their_region(shoot):
    rng = np.random.default_rng(4)
    barrel = muon_hits(shoot(13, 20.0, 0.5), np.arange(NUMBER), rng)
    assert np.mean(barrel.type == GLOBAL | TRACKER | STANDALONE | PF) == pytest.approx(0.96, abs=0.01)
    assert np.mean(barrel.dt[barrel.type > 0]) == pytest.approx(36, abs=0.3)
    assert not barrel.csc.any()
    endcap = muon_hits(shoot(13, 20.0, -2.0), np.arange(NUMBER), rng)
    assert not endcap.dt.any()
    assert np.mean(endcap.csc[endcap.type > 0]) == pytest.approx(18, abs=0.3)
    overlap = muon_hits(shoot(13, 20.0, 1.0, 100), np.arange(100), rng)
    assert ((overlap.dt > 0) == (overlap.csc > 0)).all()


def test_soft_muons_reach_one_station_or_none(shoot):
    rng = np.random.default_rng(4)
    soft = muon_hits(shoot(13, 4.0, 0.1), np.arange(NUMBER), rng)
    assert set(soft.type.tolist()) == {0, TRACKER | PF}
    assert not soft.dt.any()
    assert not muon_hits(shoot(13, 3.0, 0.1), np.arange(NUMBER), rng).type.any()
    assert not muon_hits(shoot(13, 20.0, 2.45), np.arange(NUMBER), rng).type.any()


def test_hadrons_punch_through_rarely_and_electrons_never(shoot):
    rng = np.random.default_rng(5)
    number = 200_000
    pions = muon_hits(shoot(211, 20.0, 0.5, number), np.arange(number), rng)
    assert np.mean(pions.type == TRACKER) == pytest.approx(5e-4, abs=4 * np.sqrt(5e-4 / number))
    assert set(pions.type.tolist()) == {0, TRACKER}
    assert not pions.dt.any()
    assert not muon_hits(shoot(11, 20.0, 0.5), np.arange(NUMBER), rng).type.any()


def test_a_pion_that_decays_is_matched_half_of_the_time_unless_its_muon_has_a_track(shoot):
    pions, muons = shoot(211, 20.0, 0.5)._replace(ends=np.ones(NUMBER, dtype=bool)), shoot(13, 15.0, 0.5)
    both = type(pions)._make(np.concatenate(pair) for pair in zip(pions, muons, strict=True))
    both = both._replace(parent=np.concatenate([np.full(NUMBER, -1), np.arange(NUMBER)]))
    rng = np.random.default_rng(6)
    alone = muon_hits(both, np.arange(NUMBER), rng)
    assert np.mean(alone.type > 0) == pytest.approx(0.5, abs=0.02)
    assert np.mean(alone.type == GLOBAL | TRACKER | STANDALONE) == pytest.approx(0.2, abs=0.02)
    assert ((alone.dt > 0) == ((alone.type & STANDALONE) > 0)).all()
    together = muon_hits(both, np.arange(2 * NUMBER), rng)
    assert not together.type[:NUMBER].any()
    assert np.mean(together.type[NUMBER:] > 0) == pytest.approx(0.96, abs=0.01)


def test_no_tracks_have_no_hits(shoot):
    assert len(muon_hits(shoot(13, 20.0, 0.5, 0), np.zeros(0, dtype=np.int64), np.random.default_rng(0)).type) == 0
    assert len(muon_hits(shoot(13, 20.0, 0.5, 3), np.zeros(0, dtype=np.int64), np.random.default_rng(0)).type) == 0
