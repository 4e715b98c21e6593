"""The block benchmark: contenders, halves and errors."""

import numpy as np
import pytest

from mlpf.classical.block_benchmark import Contender, clue_contender, halves, judge, link_rules, read_for_blocks
from mlpf.classical.elements import elements_of
from mlpf.classical.particle_flow import rule_based_particle_flow
from mlpf.errors import NtupleError
from mlpf.io.ntuple import write_ntuple
from mlpf.metrics.blocks import true_blocks
from mlpf.random_ntuple import random_events as random_ntuple


@pytest.fixture
def made():
    """Random elements with the candidates and links of the rules."""
    return rule_based_particle_flow(random_ntuple(np.random.default_rng(1), 12, 60))


def test_link_rules_find_the_candidates_that_followed_from_them(made):
    scores, links = judge([made.slice(0, 5), made.slice(5, 12)], [link_rules(), clue_contender("CLUE")])
    rules = scores["link rules"].means
    assert links["link_precision"].value == links["link_recall"].value == 1.0
    assert rules["edge_recall"].value == 1.0  # candidates live inside blocks of links
    assert rules["candidates_matched"] == rules["candidates_true"] == rules["candidates_predicted"]
    clue = scores["CLUE"].means
    assert clue["edge_recall"].value < 1.0
    assert clue["candidates_matched"].value < clue["candidates_true"].value
    assert clue["num_true"] == rules["num_true"]
    assert scores["CLUE"].milliseconds_per_event > 0.0


def test_the_truth_itself_scores_perfectly_and_single_elements_find_no_edge(made):
    truth = Contender("truth", lambda elements: true_blocks(made) if len(elements.type) else elements.type)
    alone = Contender("alone", lambda elements: np.arange(len(elements.type)))
    scores, _ = judge([made], [truth, alone])
    for name in ("adjusted_rand", "edge_precision", "edge_recall"):
        assert scores["truth"].means[name].value == 1.0
    assert scores["alone"].means["edge_recall"].value == 0.0
    assert scores["alone"].means["mean_size_predicted"].value == 1.0
    assert scores["alone"].means["adjusted_rand"].value == pytest.approx(0.0, abs=1e-12)


def test_halves_share_out_every_event_once_and_by_identity_alone(made):
    first, second = halves([made])
    assert sorted([*first[0]["event"], *second[0]["event"]]) == sorted(made["event"])
    again, _ = halves([made.slice(3, 12)])
    assert set(again[0]["event"]) <= set(first[0]["event"])
    with pytest.raises(NtupleError, match="1 events are too few to tune on one half"):
        halves([made.slice(0, 1)])


def test_a_file_without_truth_or_events_is_one_clear_error(made, tmp_path):
    path = tmp_path / "x.root"
    write_ntuple(path, [made.slice(0, 0)])
    with pytest.raises(NtupleError, match=r"x.root: no events to judge blocks by"):
        read_for_blocks(path)
    bare = random_ntuple(np.random.default_rng(1), 3, 20)
    bare = bare.with_columns({f"element_to_candidate.{end}": np.zeros(0) for end in ("first", "second")}, {"element_to_candidate": np.zeros(4)})
    write_ntuple(path, [bare])
    with pytest.raises(NtupleError, match=r"x.root: no element is linked to a candidate"):
        read_for_blocks(path)
    del bare.columns["pfcandidate_eta"]
    write_ntuple(path, [bare])
    with pytest.raises(NtupleError, match=r"x.root: no branch pfcandidate_eta.*mlpf classical"):
        read_for_blocks(path)


def test_particles_are_a_truth_where_the_ntuple_has_them(made, tmp_path):
    path = tmp_path / "x.root"
    write_ntuple(path, [made])
    chunks = read_for_blocks(path, truth="particles")
    truth = Contender("truth", lambda elements: true_blocks(chunks[0], "particles") if len(elements.type) else elements.type)
    scores, _ = judge(chunks, [truth, link_rules()], "particles")
    assert scores["truth"].means["adjusted_rand"].value == 1.0
    assert scores["link rules"].means["adjusted_rand"].value < 1.0
    assert scores["link rules"].means["num_true"] != judge([made], [link_rules()])[0]["link rules"].means["num_true"]
    del made.columns["caloparticle_pid"]
    write_ntuple(path, [made])
    with pytest.raises(NtupleError, match=r"x.root: no branch caloparticle_pid, .*--truth candidates"):
        read_for_blocks(path, truth="particles")


def test_non_finite_momenta_are_errors_or_zeros(made, tmp_path):
    eta = made["element_eta"].copy()
    eta[3] = np.nan
    write_ntuple(tmp_path / "x.root", [made.with_columns({"element_eta": eta})])
    with pytest.raises(NtupleError, match="--nonfinite zero"):
        elements_of(read_for_blocks(tmp_path / "x.root")[0])
    assert elements_of(read_for_blocks(tmp_path / "x.root", nonfinite="zero")[0]).eta[3] == 0.0
    assert len(read_for_blocks(tmp_path / "x.root", max_events=2)[0]) == 2
