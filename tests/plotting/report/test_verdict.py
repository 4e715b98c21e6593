import re

import pytest

from mlpf.plotting.report.verdict import verdict

EDGES = [20.0, 30.0, 50.0, 80.0]


def around(value, error, n=500):
    return {"value": value, "low": value - error, "high": value + error, "n": n} if error else {"value": value, "low": None, "high": None, "n": n}


def entry(**widths):
    """One number (value, error) for each bin of jet pt and system."""
    jets = {
        system: {
            "central": {
                "response": {"pt": {"iqr_over_median": [around(*width) for width in values]}},
                "matched": {"pt": [around(0.9, 0.01, n) for n in (900, 700, 300)]},
            }
        }
        for system, values in widths.items()
    }
    titles = {"pf": "rule-based PF", "targets": "targets"}
    return {"bins": {"jet_pt": EDGES}, "jets": jets, "systems": {system: titles.get(system, system) for system in widths}}


def words(evaluation, models, reference):
    return re.sub("<[^>]*>", "", verdict(evaluation, models, reference).sentence)


def test_the_sentence_says_all_numbers_of_jets_of_30_to_50_gev_and_what_the_difference_is_worth():
    evaluation = entry(pf=[(0.3, 0.1), (0.2, 0.003), (0.1, 0.1)], new=[(0.3, 0.1), (0.18, 0.004), (0.1, 0.1)], targets=[(0.1, 0.1), (0.05, 0.001), (0.1, 0.1)])
    assert words(evaluation, ["new"], "pf") == (
        "Jets of 30–50 GeV, |η| &lt; 2.5 (700 generated): the IQR / median of their response is 0.2000 ±0.0030 for rule-based PF, 0.1800 ±0.0040 for new "
        "and 0.0500 ±0.0010 for targets; against rule-based PF, new is 10.0 ± 2.5 % narrower (4.0 σ)."
    )


@pytest.mark.parametrize(
    ("value", "said"), [(0.19, "new cannot be told apart (1.4 σ)"), (0.23, "new is 15.0 ± 3.5 % wider (4.2 σ)"), (0.214, "new cannot be told apart (2.0 σ)")]
)
def test_nothing_is_claimed_within_two_standard_deviations(value, said):
    evaluation = entry(pf=[(0.3, 0.1), (0.2, 0.005), (0.1, 0.1)], new=[(0.3, 0.1), (value, 0.005), (0.1, 0.1)])
    assert words(evaluation, ["new"], "pf").endswith(f"against rule-based PF, {said}.")


def test_another_bin_speaks_where_that_of_30_to_50_gev_has_too_few_jets():
    evaluation = entry(pf=[(0.3, 0.01), (0.2, None), (0.1, 0.1)], new=[(0.3, 0.01), (0.2, None), (0.1, 0.1)])
    assert words(evaluation, ["new"], "pf").startswith("Jets of 20–30 GeV")


def test_a_system_without_an_interval_is_left_out():
    evaluation = entry(pf=[(0.3, None)] * 3, new=[(0.3, None), (0.2, 0.01), (0.2, None)])
    found = verdict(evaluation, ["new"], "pf")
    assert list(found.estimates) == ["new"]
    assert "against" not in found.sentence


def test_too_few_jets_are_said():
    evaluation = entry(pf=[(0.3, None)] * 3, new=[(0.3, None)] * 3)
    found = verdict(evaluation, ["new"], "pf")
    assert (found.sentence, found.estimates) == ("Too few jets for a statement about their resolution.", {})


def test_names_are_escaped():
    evaluation = entry(**{"pf": [(0.2, 0.01)] * 3, "<i>new": [(0.2, 0.01)] * 3})
    assert "&lt;i&gt;new" in verdict(evaluation, ["<i>new"], "pf").sentence
