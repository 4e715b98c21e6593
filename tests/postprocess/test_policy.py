import numpy as np
import pytest

from mlpf.config import load_parameters, parse_section
from mlpf.errors import ConfigError
from mlpf.postprocess.policy import CaloParticlePolicy, Policy, PostprocessConfig, TrackingParticlePolicy
from mlpf.postprocess.rows import columns_to_read, postprocess_events
from mlpf.schema import NTUPLE, ElementType
from mlpf.testing import random_events

EDGES = {"edges": ["links", "radius", "knn"], "edge_radius": 0.5, "edge_neighbors": 3}
CALO_CHANGES = {
    "dropped_types": ["PS1", "PS2"],
    "pt_from_energy_types": [],
    "carried_classes": {},
    "supercluster_class": "particle",
    "candidate_track_pids": [211],
    "candidate_track_types": ["TRACK"],
    "candidate_other_types": ["ECAL"],
    "stable_status": 2,
    "invisible_pids": [],
    "jet_radius": 0.8,
    "jet_min_pt": 10.0,
    "orphan_min_pt": 5.0,
    "orphan_radius": 0.01,
    "electron_pids": [11, 13],
    "split_radius": 0.1,
    "type_order": ["HCAL", "ECAL", "TRACK"],
    "edges": ["links"],
    "edge_radius": 0.1,
    "edge_neighbors": 2,
}
TRACKING_CHANGES = {
    "track_link_weight": 0.01,
    "min_link_energy": 1.0,
    "supercluster_link_weight": 2.0,
    "min_truth_energy": 5.0,
    "min_link_fraction": 0.5,
    "never_types": ["TRACK"],
    "pid_groups": {211: [11]},
    "forward_eta": 0.5,
    "electromagnetic_pids": [211],
    "edges": ["radius"],
    "candidate_other_types": ["SC"],
}


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (cls, name, value)
        for cls, changes in ((CaloParticlePolicy, CALO_CHANGES), (TrackingParticlePolicy, TRACKING_CHANGES))
        for name, value in changes.items()
    ],
)
def test_every_choice_makes_a_difference(cls, name, value):
    same = True
    for ties in (False, True):
        events = random_events(np.random.default_rng(1), 100, ties=ties)
        before, _ = postprocess_events(events, cls.model_validate(EDGES))
        after, _ = postprocess_events(events, cls.model_validate({**EDGES, name: value}))
        same &= all(np.array_equal(before[column], after[column]) for column in before.columns)
    assert not same


def test_every_choice_has_a_sentence_and_is_tried():
    for cls, changes in ((CaloParticlePolicy, CALO_CHANGES), (TrackingParticlePolicy, CALO_CHANGES | TRACKING_CHANGES)):
        for name, field in cls.model_fields.items():
            assert field.description or Policy.model_fields[name].description, name
            assert name in changes


def test_columns_to_read_are_columns_of_the_ntuple():
    for policy in (CaloParticlePolicy(), CaloParticlePolicy(edges=("links",)), TrackingParticlePolicy()):
        assert set(columns_to_read(policy)) <= set(NTUPLE.columns)


def test_pf_links_are_read_only_where_they_become_edges():
    links = set(NTUPLE.names("element_distance"))
    for cls in (CaloParticlePolicy, TrackingParticlePolicy):
        assert links <= set(columns_to_read(cls(edges=("radius", "links"))))
        assert not links & set(columns_to_read(cls(edges=("radius", "knn"))))


def test_edges_that_nobody_knows_are_refused(tmp_path):
    path = tmp_path / "p.yaml"
    for wrong in ("edges: [lines]", "edge_radius: -0.1", "edge_radius: .inf", "edge_neighbors: -1"):
        path.write_text(f"postprocess:\n  caloparticle: {{{wrong}}}\n")
        with pytest.raises(ConfigError, match=wrong.partition(":")[0]):
            parse_section(load_parameters(path), "postprocess", PostprocessConfig, path)


def test_auto_follows_what_the_ntuple_holds():
    config = PostprocessConfig()
    assert config.choose(["caloparticle_pt"]) is config.caloparticle
    assert config.choose(["trackingparticle_pt"]) is config.trackingparticle
    assert PostprocessConfig(policy="trackingparticle").choose(["caloparticle_pt"]) is not config.caloparticle


def test_a_parameter_file_changes_choices_and_a_wrong_key_is_explained(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("postprocess:\n  policy: caloparticle\n  caloparticle: {split_radius: 0.3, type_order: [GSF, 1]}\n")
    config = parse_section(load_parameters(path), "postprocess", PostprocessConfig, path)
    assert config.caloparticle.split_radius == 0.3
    assert config.caloparticle.type_order == (ElementType.GSF, ElementType.TRACK)
    path.write_text("postprocess:\n  caloparticle: {split_radios: 0.3}\n")
    with pytest.raises(ConfigError, match=r"p.yaml: postprocess: unknown key 'caloparticle.split_radios'; did you mean 'split_radius'"):
        parse_section(load_parameters(path), "postprocess", PostprocessConfig, path)


def test_choices_survive_the_manifest():
    for policy in (CaloParticlePolicy(split_radius=0.3, edges=("knn",)), TrackingParticlePolicy()):
        assert type(policy).model_validate(policy.model_dump(mode="json")) == policy
