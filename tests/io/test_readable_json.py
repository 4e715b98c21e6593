import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpf.io.readable_json import readable_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(VALUES)
def test_the_documents_say_what_was_written(value):
    assert json.loads(readable_json(value)) == value


def test_estimates_and_lists_of_numbers_have_a_line_each():
    estimate = {"value": 1.0, "low": None, "high": 2.0, "n": 3}
    assert readable_json({"edges": [0, 1, 2], "all": estimate, "pt": [estimate, estimate], "nothing": {}}).splitlines() == [
        "{",
        ' "edges": [0, 1, 2],',
        ' "all": {"value": 1.0, "low": null, "high": 2.0, "n": 3},',
        ' "pt": [',
        '  {"value": 1.0, "low": null, "high": 2.0, "n": 3},',
        '  {"value": 1.0, "low": null, "high": 2.0, "n": 3}',
        " ],",
        ' "nothing": {}',
        "}",
    ]


def test_numbers_that_json_does_not_know_are_our_bug():
    with pytest.raises(ValueError, match="Out of range float"):
        readable_json({"a": [float("nan")]})
