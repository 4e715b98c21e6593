"""Settings that all tests share."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import settings

from mlpf import schema
from mlpf.events import Events, event_index, offsets_from_counts
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, write_manifest, write_parquet
from mlpf.jets import cluster_jets
from mlpf.schema import CandidateClass, ElementType

mpl.use("Agg")
# Kernels compile at their first call, so a deadline per example says nothing.
settings.register_profile("mlpf", deadline=None, derandomize=True)
settings.load_profile("mlpf")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLPF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that the tests belong to."""
    return ROOT


CLASS_OF_TYPE = {
    ElementType.TRACK: CandidateClass.CHARGED_HADRON,
    ElementType.ECAL: CandidateClass.PHOTON,
    ElementType.HCAL: CandidateClass.NEUTRAL_HADRON,
    ElementType.GSF: CandidateClass.ELECTRON,
    ElementType.HFEM: CandidateClass.HF_EM,
    ElementType.HFHAD: CandidateClass.HF_HADRON,
}


def random_dataset_events(num_events: int = 20, mean_elements: float = 60.0, seed: int = 0) -> Events:
    """Events of a dataset in which targets are elements smeared by 5 %, rule-based candidates by 20 %, and gen jets and MET are those of the targets."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(mean_elements, num_events)
    n, offsets = int(counts.sum()), offsets_from_counts(counts)
    element_type = rng.choice(list(CLASS_OF_TYPE), n, p=[0.4, 0.3, 0.12, 0.02, 0.08, 0.08]).astype(np.int32)
    pt, phi = rng.lognormal(1.0, 1.0, n), rng.uniform(-np.pi, np.pi, n)
    forward = np.isin(element_type, (ElementType.HFEM, ElementType.HFHAD))
    eta = np.where(forward, rng.choice([-1, 1], n) * rng.uniform(3, 5, n), rng.uniform(-2.5, 2.5, n))
    category = np.array([CLASS_OF_TYPE[ElementType(t)] for t in element_type], dtype=np.int32)
    columns = {
        **{name: np.arange(num_events) + seed * num_events if name == "event" else np.ones(num_events) for name in ("event", "run", "lumi")},
        "element_index": np.arange(n) - np.repeat(offsets[:-1], counts),
        "element_type": element_type,
        "element_pt": pt,
        "element_eta": eta,
        "element_phi": phi,
        "element_energy": pt * np.cosh(eta),
        "element_charge": np.where(np.isin(element_type, (ElementType.TRACK, ElementType.GSF)), rng.choice([-1, 1], n), 0),
    }
    for prefix, width, efficiency in (("target", 0.05, 0.9), ("candidate", 0.2, 0.8)):
        there = rng.random(n) < efficiency
        smeared = pt * rng.lognormal(0.0, width, n) * there
        columns |= {f"{prefix}_class": category * there, f"{prefix}_pid": category * there, f"{prefix}_charge": columns["element_charge"] * there}
        columns |= {f"{prefix}_pt": smeared, f"{prefix}_energy": smeared * np.cosh(eta), f"{prefix}_eta": eta}
        columns |= {f"{prefix}_sin_phi": np.sin(phi), f"{prefix}_cos_phi": np.cos(phi)}
    jets = cluster_jets(*(columns[name] for name in ("target_pt", "target_eta")), phi, columns["target_energy"], offsets)
    columns |= {f"genjet_{name}": getattr(jets, name) for name in ("pt", "eta", "phi", "energy")}
    event = event_index(offsets)
    met_x, met_y = (-np.bincount(event, columns["target_pt"] * direction, minlength=num_events) for direction in (np.cos(phi), np.sin(phi)))
    columns |= {"genmet_pt": np.hypot(met_x, met_y), "genmet_phi": np.arctan2(met_y, met_x)}
    return Events(columns, {"element": offsets, "genjet": jets.offsets}, num_events, layout=schema.DATASET)


@pytest.fixture(scope="session")
def random_dataset() -> Callable[..., Events]:
    """Makes random events of a dataset, see `random_dataset_events`."""
    return random_dataset_events


@pytest.fixture
def write_dataset(tmp_path) -> Callable[[Events], Path]:
    """Writes events of a dataset into a folder, one shard."""

    def write(events: Events, name: str = "dataset") -> Path:
        shard = tmp_path / name / "shard.parquet"
        num_events, num_elements = write_parquet(shard, [events])
        write_manifest(shard.parent, [Shard(shard.name, num_events, num_elements, sha256(shard))], {})
        return shard.parent

    return write


@pytest.fixture
def mlpf_cli(monkeypatch, capsys):
    """Run the command line in this process: words -> (exit status, standard output, standard error)."""
    from mlpf.cli.main import main

    def run(*words):
        monkeypatch.setattr("sys.argv", ["mlpf", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium driven by Playwright; ``MLPF_CHROMIUM`` names another than the first one on the path."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("MLPF_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        pytest.skip("no Chromium on the path; name one in MLPF_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--enable-unsafe-swiftshader"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """``open_page(path, **context)`` opens a file in a new window and returns the Playwright page and the list of its errors, which grows while the page lives.

    Errors are what the console calls so, exceptions of scripts, and any request for something that is not in the file. ``context`` goes to
    `playwright.Browser.new_context`: ``color_scheme="dark"``, ``viewport={"width": 400, "height": 800}`` ...
    """
    contexts = []

    def open_page(path: str | Path, **context: Any) -> tuple[Any, list[str]]:
        contexts.append(chromium.new_context(**context))
        page, errors = contexts[-1].new_page(), []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        address = Path(path).resolve().as_uri()
        page.on(
            "request",
            lambda request: None if request.url.split("#")[0] == address or request.url.startswith(("data:", "blob:")) else errors.append(request.url),
        )
        page.goto(address)
        return page, errors

    yield open_page
    for context in contexts:
        context.close()
