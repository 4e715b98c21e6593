import numpy as np

from mlpf import schema


def test_the_classes_are_in_the_consumers_order():
    assert schema.CLASS_IDS == (0, 211, 130, 1, 2, 22, 11, 13, 15)


def test_element_types_are_those_of_the_pf_blocks():
    expected = "NONE TRACK PS1 PS2 ECAL HCAL GSF BREM HFEM HFHAD SC HO".split()
    assert [t.name for t in schema.ElementType] == expected
    assert [int(t) for t in schema.ElementType] == list(range(12))


def test_the_2026_ntuple_has_54_element_columns_of_which_the_features_are_made():
    columns = schema.NTUPLE.names("element")
    assert len(columns) == 54
    from_features = {f"element_{name}" for name in schema.FEATURES if name not in ("sin_phi", "cos_phi")} | {"element_phi"}
    assert from_features == set(columns)


def test_every_column_says_what_it_is_and_belongs_to_one_collection():
    for layout in (schema.NTUPLE, schema.DATASET, schema.CANDIDATES):
        assert sum(len(c.columns) for c in layout.collections.values()) == len(layout.columns)
        for column in layout.columns.values():
            assert column.meaning
            assert np.dtype(column.dtype).itemsize in (4, 8)


def test_index_columns_count_members_of_known_collections():
    for column, collection in schema.INDEX_TARGETS.items():
        assert column in schema.NTUPLE.columns
        assert collection in schema.NTUPLE.collections


def test_the_digest_changes_with_the_contract(monkeypatch):
    before = schema.digest()
    schema.digest.cache_clear()
    monkeypatch.setattr(schema, "FEATURES", schema.FEATURES[::-1])
    assert schema.digest() != before
    schema.digest.cache_clear()
