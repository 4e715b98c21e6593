"""Evaluations made up by formulas, in the form of `metrics.json` and `performance.json`."""

import math

import numpy as np
import pytest

from mlpf.metrics import binning
from mlpf.schema import CLASS_NAMES

CLASSES = [name for name in CLASS_NAMES if name not in ("none", "tau")]
VERTICES = [0.0, 1.0, 20.0, 40.0, 60.0, 80.0, 100.0, 140.0, 200.0, 300.0]
JET_ETA = [-5.0, -4.0, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0]
BINS = {
    **{name.lower(): getattr(binning, name).tolist() for name in ("PARTICLE_PT", "PARTICLE_ETA", "JET_PT", "MET", "RESPONSE", "RESIDUAL")},
    "jet_eta": JET_ETA,
    "vertices": VERTICES,
}


def estimate(value, error=0.02, n=100):
    return {"value": value, "low": value - error, "high": value + 1.5 * error, "n": n}


NONE = {"value": None, "low": None, "high": None, "n": 0}


def curve(bins, start, slope, wanted=lambda _: True):
    centres = (np.array(BINS[bins][1:]) + BINS[bins][:-1]) / 2
    return [estimate(start + slope * i / len(centres)) if wanted(x) else NONE for i, x in enumerate(centres)]


def quantities(start, width, bins, wanted=lambda _: True):
    return {
        "median": curve(bins, start, 0.03, wanted),
        "iqr": curve(bins, width, 0.1, wanted),
        "iqr_over_median": curve(bins, width, 0.1, wanted),
        "tails": curve(bins, 0.05, 0, wanted),
    }


def single(start, width, n):
    return {"median": estimate(start, n=n), "iqr": estimate(width, n=n), "iqr_over_median": estimate(width, n=n), "tails": estimate(0.05, n=n)}


def histogram(bins, centre, width, n):
    edges = np.array(BINS[bins])
    cumulative = np.array([0.5 * (1 + math.erf((edge - centre) / width / 1.4142)) for edge in edges])
    return (n * np.diff(cumulative)).round().astype(int).tolist()


def jets_of(k, vertices):
    response = {}
    for region, wanted in (("central", lambda eta: abs(eta) < 2.5), ("forward", lambda eta: abs(eta) > 2.5)):
        start, width = 0.95 + 0.02 * k, 0.15 + 0.02 * k
        response[region] = {
            "response": {
                "all": single(start, width, 2000),
                "pt": quantities(start, width, "jet_pt"),
                "eta": quantities(start, width, "jet_eta", wanted),
                "histogram": histogram("response", start, width, 2000),
                **({"vertices": quantities(start, width, "vertices")} if vertices else {}),
            },
            **{
                name: {
                    "all": estimate(0.9),
                    "pt": curve("jet_pt", 0.7 + 0.02 * k, 0.2),
                    "eta": curve("jet_eta", 0.8, 0.1, wanted),
                    **({"vertices": curve("vertices", 0.9, -0.2)} if vertices else {}),
                }
                for name in ("matched", "matched_wide", "purity")
            },
        }
    return response


def met_of(k, vertices):
    return {
        quantity: {
            "all": single(0, 20, 400),
            "genmet": {"median": curve("met", 1 + 0.05 * k, -0.1), "iqr": curve("met", 20 + 2 * k, 5)},
            "histogram": histogram("residual", 0, 20 + 2 * k, 400),
            **({"vertices": {"median": curve("vertices", 1.0, 0.1), "iqr": curve("vertices", 20 + k, 20)}} if vertices else {}),
        }
        for quantity in ("residual", "ratio")
    }


def fractions(start, prefix, vertices):
    return {
        "all": estimate(start),
        "pt": curve(f"{prefix}_pt", start, 0.2),
        "eta": curve(f"{prefix}_eta", start, 0.1),
        **({"vertices": curve("vertices", start, -0.1)} if vertices else {}),
    }


def response_of(k, scale):
    start, width = 1.0 + 0.01 * k, scale * (1 + 0.2 * k)
    return {
        **single(start, width, 500),
        "pt": quantities(start, width, "particle_pt"),
        "eta": quantities(start, width, "particle_eta"),
        "histogram": histogram("response", start, width, 500),
    }


def particles_of(k, vertices):
    return {
        "efficiency": {name: fractions(0.5 + 0.04 * k, "particle", vertices) for name in CLASSES},
        "fake_rate": {name: fractions(0.3 - 0.04 * k, "particle", vertices) for name in CLASSES},
        "residuals": {
            name: {"pt_response": response_of(k, 0.05 + 0.02 * i), "energy_response": response_of(k, 0.06 + 0.02 * i)} for i, name in enumerate(CLASSES)
        },
    }


def elements_of(k):
    rng = np.random.default_rng(k)
    confusion = rng.integers(0, 300, (len(CLASS_NAMES), len(CLASS_NAMES))) + np.diag([9000] * len(CLASS_NAMES))
    tau = CLASS_NAMES.index("tau")
    confusion[tau], confusion[:, tau] = 0, 0
    return {
        "efficiency": {name: fractions(0.6 + 0.03 * k, "particle", False) for name in ["any", *CLASSES]},
        "fake_rate": {name: fractions(0.2 - 0.02 * k, "particle", False) for name in ["any", *CLASSES]},
        "confusion": confusion.tolist(),
        "classes": list(CLASS_NAMES),
    }


def training_of(k):
    step = np.arange(100, 2100, 100)
    loss = (3 + k) * np.exp(-step / 700) + 0.5
    validated = [float(v) if i % 5 == 4 else None for i, v in enumerate(1.1 * loss)]
    return {
        "step": step.tolist(),
        **{f"train/{name}": (scale * loss).tolist() for name, scale in {"total": 1.0, "log_pt": 0.2, "pid": 0.5}.items()},
        **{
            f"validation/{name}": [None if v is None else scale * v for v in validated]
            for name, scale in {"total": 1.0, "log_pt": 0.2, "pid": 0.5, "met": 0.0}.items()
        },
        "validation/pid_accuracy": [None if v is None else 1 / (1 + v) for v in validated],
    }


@pytest.fixture(scope="session")
def make_entry():
    """An entry of `metrics.json`: systems differ by fixed steps, in the order of `systems`."""

    def make(models=("tiny",), with_pf=True, with_pileup=False, with_training=True):
        systems = {**({"pf": "rule-based PF"} if with_pf else {}), **{model: model for model in models}, "targets": "targets"}
        if with_pileup:
            systems |= {f"{system}_hard": f"{systems[system]}, pileup removed" for system in (*models, "targets")}
        place = {system: k for k, system in enumerate(systems)}
        matched = [system for system in systems if system in ("pf", *models)]
        numbers = {"charged_hadron": 100.0, "neutral_hadron": 30.0, "hf_hadron": 12.0, "hf_em": 10.0, "photon": 80.0, "electron": 0.5, "muon": 0.0}
        return {
            "path": "work/ttbar",
            "split": "test",
            "num_events": 400,
            "num_elements": 200_000,
            "models": {
                model: {"description": {"model": f"runs/{model}"}, "num_not_finite": 0, "training": training_of(place[model]) if with_training else None}
                for model in models
            },
            "timing": {
                model: {
                    "device": "cpu",
                    "threads": 2,
                    "processor": "test",
                    "seconds": 10.0,
                    "events_per_second": 40.0,
                    "elements_per_second": 20_000.0,
                    "milliseconds_per_event": {
                        "elements": [0, 250, 500, 750, 1000, 1500],
                        "median": [NONE, *(estimate((5 + place[model]) * i, 0.5) for i in range(1, 4)), NONE],
                    },
                }
                for model in models
            },
            "systems": systems,
            "bins": BINS,
            "elements": {system: elements_of(place[system]) for system in matched},
            "particles": {system: particles_of(place[system], with_pileup) for system in matched},
            "jets": {system: jets_of(k, with_pileup) for system, k in place.items()},
            "met": {system: met_of(k, with_pileup) for system, k in place.items()},
            "multiplicity": {
                system: {
                    name: {
                        "number": estimate(number * (1 + 0.05 * place[system]), 0.02 * number),
                        "difference": {"mean": estimate(place[system] - 1.0), "iqr": estimate(5.0 + place[system])},
                    }
                    for name, number in numbers.items()
                }
                for system in [*matched, "targets"]
            },
            "emd": {
                system: {
                    "all": estimate(100.0 + 10 * k, 3),
                    "normalised": estimate(0.2 + 0.02 * k),
                    **({"vertices": curve("vertices", 100.0 + k, 100)} if with_pileup else {}),
                }
                for system, k in place.items()
            },
        }

    return make


@pytest.fixture(scope="session")
def make_classification():
    """An entry of `performance.json`: the better the later the model."""

    def scores(k):
        efficiency = np.concatenate([[0.0], np.linspace(0.05, 1.0, 40)])
        misidentification = efficiency ** (4 + k)
        working = {
            f"{e:.2f}": {
                "particle_threshold": 1 - e,
                "class_threshold": 0.5,
                "efficiency": estimate(e, 0.005),
                "misidentification": estimate(e ** (4 + k), 1e-3),
            }
            for e in (0.8, 0.9)
        }
        predicted = np.linspace(0.05, 0.95, 10)
        return {
            "auc": estimate(1 - 1 / (5 + k), 0.001),
            "num_signal": 1000,
            "num_background": 9000,
            "roc": {"threshold": (1 - efficiency).tolist(), "efficiency": efficiency.tolist(), "misidentification": misidentification.tolist()},
            "working_points": working,
            "calibration": {"predicted": predicted.tolist(), "observed": [estimate(float(p ** (1 + 0.2 * k)), 0.01) for p in predicted]},
            "calibration_error": estimate(0.01),
        }

    def make(models=("tiny",), with_pf=True):
        pf = {"pf": {"working_points": {"fixed": {"efficiency": estimate(0.75, 0.005), "misidentification": estimate(0.2, 0.002)}}}} if with_pf else {}
        return {"all": {name: {**pf, **{model: scores(k) for k, model in enumerate(models)}} for name in ["any", *CLASSES]}}

    return make


@pytest.fixture(scope="session")
def summary(make_entry, make_classification):
    """A made-up evaluation of two models with everything in it."""
    from mlpf.plotting.summary import Summary

    models = ("tiny", "window")
    return Summary(make_entry(models, with_pileup=True), make_classification(models), "ttbar")
