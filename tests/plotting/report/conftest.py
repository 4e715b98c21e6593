"""A report of two models on two datasets, with names that are made to break pages."""

import pytest

from mlpf.plotting.recording import save_figure
from mlpf.plotting.report import write_report
from mlpf.plotting.style import style
from mlpf.plotting.summary import Summary
from mlpf.plotting.summary.figures import FIGURES

MODELS = ("tiny", "window")
HOSTILE = '/data/<script>alert("x")</script>&amp;'
DRAWN = {"ttbar": ["jets", "met", "confusion", "timing"], "qcd": ["jets", "met"]}


@pytest.fixture(scope="session")
def metrics(make_entry):
    """`metrics.json`."""
    entries = {"ttbar": make_entry(MODELS, with_pileup=True), "qcd": make_entry(MODELS)}
    for entry in entries.values():
        entry |= {"path": HOSTILE, "mlpf": "0.1.0", "schema_digest": "40def2bcf0601be2", "events_digest": "3fd1c0b2aa17ee90"}
        entry["models"]["tiny"] |= {"num_not_finite": 7}
    return {"format": 2, "definitions": {"jets": "Anti-kt 0.4 <b>"}, "datasets": entries}


@pytest.fixture(scope="session")
def performance(make_classification):
    """`performance.json`."""
    return {"format": 1, "definitions": {"classification": "one against the rest"}, "classification": {name: make_classification(MODELS) for name in DRAWN}}


@pytest.fixture(scope="session")
def plots(metrics, performance, tmp_path_factory):
    """Some of the figures."""
    folder = tmp_path_factory.mktemp("plots")
    with style():
        for dataset, names in DRAWN.items():
            (folder / dataset).mkdir()
            summary = Summary(metrics["datasets"][dataset], performance["classification"][dataset], dataset, models=MODELS)
            for name in names:
                save_figure(FIGURES[name].draw(summary), folder / dataset, name)
    return folder


@pytest.fixture(scope="session")
def report(metrics, performance, plots, tmp_path_factory):
    """The page."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, metrics, performance, plots, DRAWN)
    return path
