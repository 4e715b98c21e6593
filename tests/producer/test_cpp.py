"""The C++ program of ``mlpf/producer/cpp``, built here and compared with the producer in Python."""

import os
import shutil
import struct
import subprocess
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from toy_events import toy_events
from toy_graph import BROKEN_SIGNATURE, write_toy_model

from mlpf.errors import ModelError
from mlpf.events import event_index
from mlpf.features import element_features
from mlpf.io.ntuple import read_ntuple
from mlpf.producer import Producer
from mlpf.producer.feature_file import write_feature_file
from mlpf.random_elements import random_elements
from mlpf.schema import FEATURE_INDEX, ElementType

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "mlpf/producer/cpp"
HEADER_FOLDERS = ("include", "include/onnxruntime", "include/onnxruntime/core/session")
COLUMNS = ("element", "pdgid", "charge", "pt", "eta", "phi", "energy", "score")


def find_onnxruntime() -> Path | None:
    """A folder with headers of ONNX Runtime: ``ONNXRUNTIME_ROOT``, what scripts/onnxruntime_headers.sh makes, or the system's."""
    own = Path(os.environ.get("MLPF_ONNXRUNTIMES", ROOT / ".onnxruntime")) / "headers/usr"
    named = [Path(os.environ["ONNXRUNTIME_ROOT"])] if os.environ.get("ONNXRUNTIME_ROOT") else []
    roots = (*named, own, Path("/usr"), Path("/usr/local"))
    return next((root for root in roots for folder in HEADER_FOLDERS if (root / folder / "onnxruntime_cxx_api.h").is_file()), None)


def wheel_library(folder: Path) -> Path | None:
    """The shared library of the Python package under the names that a linker and a loader ask for."""
    found = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"), None)
    if found is None:
        return None
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(found)
    return folder / "libonnxruntime.so"


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """The program, without a warning of the compiler."""
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on the path")
    root = find_onnxruntime()
    if root is None:
        pytest.skip("no headers of ONNX Runtime; run scripts/onnxruntime_headers.sh or set ONNXRUNTIME_ROOT")
    build = tmp_path_factory.mktemp("cpp")
    library = next((path for folder in ("lib", "lib64") if (path := root / folder / "libonnxruntime.so").is_file()), None) or wheel_library(build)
    if library is None:
        pytest.skip(f"no libonnxruntime.so in {root}, none in the Python package")
    options = [f"-DONNXRUNTIME_ROOT={root}", f"-DONNXRUNTIME_LIBRARY={library}", "-DCMAKE_CXX_FLAGS=-Werror"]
    subprocess.run(["cmake", "-S", SOURCE, "-B", build, *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
    return build / "mlpf_produce"


@pytest.fixture
def run(program):
    """Run the program: words -> `subprocess.CompletedProcess`."""
    return lambda *words, **options: subprocess.run([program, *words], **{"text": True, "capture_output": True, "timeout": 60, **options})


@pytest.fixture
def refusal(run):
    """Run the program, which must fail: words -> its one line on standard error."""

    def refusal(*words):
        done = run(*words)
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("mlpf_produce: ")
        return lines[0].removeprefix("mlpf_produce: ")

    return refusal


def feature_file(path: Path, events) -> Path:
    """Write all elements of ntuple events."""
    features, edges = element_features(events), events.offsets["element"]
    write_feature_file(path, (features[start:stop] for start, stop in pairwise(edges)))
    return path


def printed(done) -> np.ndarray:
    """The candidates on standard output, a row each: event and `COLUMNS`."""
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header == f"# event {' '.join(COLUMNS)}"
    return np.array([line.split() for line in lines], dtype=np.float64).reshape(-1, 1 + len(COLUMNS))


def assert_same(rows: np.ndarray, candidates) -> None:
    """Printed candidates against those of the producer in Python, all of them and in their order."""
    np.testing.assert_array_equal(rows[:, 0], event_index(candidates.offsets["mlpfcandidate"]))
    for i, name in enumerate(COLUMNS, start=1):
        expected = candidates[f"mlpfcandidate_{name}"]
        if expected.dtype.kind == "i":
            np.testing.assert_array_equal(rows[:, i], expected)
        else:
            np.testing.assert_allclose(rows[:, i], expected, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def toy_model(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")


# Outputs are columns that random elements fill with noise: every branch of the decoding is taken.
COPIED = {
    "bid": ("etaerror", "phierror"),
    "id": ("etaerror1", "etaerror2", "etaerror3", "etaerror4", "phierror1", "phierror2", "phierror3", "phierror4", "sigma_x"),
    "momentum": ("sigma_y", "lambda", "lambdaerror", "theta", "thetaerror"),
}


@pytest.fixture(scope="module")
def copying_model(tmp_path_factory):
    nodes = "".join(
        f"{name}_columns = Constant<value_ints = {[FEATURE_INDEX[feature] for feature in features]}>()\n"
        f"{name} = Gather<axis = 2>(Xfeat_normed, {name}_columns)\n"
        for name, features in COPIED.items()
    )
    outputs = ", ".join(f"float[batch, elements, {len(features)}] {name}" for name, features in COPIED.items())
    inputs = "float[batch, elements, 55] Xfeat_normed, float[batch, elements] mask"
    path = tmp_path_factory.mktemp("model") / "copying.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 20]> copying ({inputs}) => ({outputs}) {{ {nodes} }}'), path)
    return path


@pytest.fixture(scope="module")
def window_model(tmp_path_factory):
    """A small model whose weights are not those of the start, exported without the checks, which take longer than all that is tested here."""
    torch = pytest.importorskip("torch")
    from mlpf.export.exporter import ConsumerModule, to_onnx
    from mlpf.nn.model import build_model
    from mlpf.nn.window import WindowConfig

    torch.manual_seed(0)
    model = build_model(WindowConfig(width=16, num_layers=1, num_heads=2))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.preprocess.fit(torch.from_numpy(random_elements(np.random.default_rng(11), 2000)))
    path = tmp_path_factory.mktemp("model") / "window.onnx"
    onnx.save(to_onnx(ConsumerModule(model.eval())), path)
    return path


def test_candidates_of_events_of_any_size_are_those_of_python(run, copying_model, tmp_path):
    events = toy_events([40, 0, 1, 3000, 3, 0], seed=5)
    candidates = Producer(copying_model)(events)
    assert set(np.abs(candidates["mlpfcandidate_pdgid"])) == {0, 1, 2, 11, 13, 22, 130, 211}
    assert_same(printed(run(copying_model, feature_file(tmp_path / "a.features", events))), candidates)


@pytest.mark.parametrize("model", ["toy_model", "window_model"])
def test_candidates_of_an_ntuple_are_those_of_python(model, run, repository, tmp_path, request):
    path = request.getfixturevalue(model)
    events = read_ntuple(repository / "data/ttbar.root", stop=20)
    candidates = Producer(path)(events)
    assert candidates.size("mlpfcandidate") > 20
    assert_same(printed(run(path, feature_file(tmp_path / "a.features", events))), candidates)


def test_events_without_an_element_for_the_model_never_reach_it(run, tmp_path):
    model = write_toy_model(tmp_path / "toy.onnx", [("elements", "400")])  # fails for any other number
    done = run(model, feature_file(tmp_path / "a.features", toy_events([4, 0, 2], dropped_share=1.0)))
    assert printed(done).shape == (0, 9)
    assert [line.rpartition(",")[0] for line in done.stderr.splitlines()] == [
        "event 0: 4 elements, 0 for the model, 0 candidates",
        "event 1: 0 elements, 0 for the model, 0 candidates",
        "event 2: 2 elements, 0 for the model, 0 candidates",
    ]
    write_feature_file(tmp_path / "none.features", [])
    assert printed(run(model, tmp_path / "none.features")).shape == (0, 9)


def test_features_that_are_not_finite_reach_the_model_and_are_counted(run, toy_model, tmp_path):
    events = toy_events([40], dropped_share=0.0)
    pterror = events["element_pterror"].copy()
    pterror[:3] = np.nan, np.inf, -np.inf
    poisoned = events.with_columns({"element_pterror": pterror})
    done = run(toy_model, feature_file(tmp_path / "a.features", poisoned))
    assert_same(printed(done), Producer(toy_model)(poisoned))
    assert done.stderr.splitlines()[-1] == "3 features are not finite; the model got them as they are, as in CMSSW"


def test_electrons_on_gsf_tracks_are_negative_on_demand_as_in_cmssw(run, copying_model, tmp_path):
    features = random_elements(np.random.default_rng(3), 20_000)
    write_feature_file(tmp_path / "a.features", [features])
    ours, theirs = (printed(run(*words, copying_model, tmp_path / "a.features")) for words in ([], ["--cmssw-gsf-charge"]))
    x = features[ours[:, 1].astype(int)]
    positive = (x[:, FEATURE_INDEX["type"]] == ElementType.GSF) & (x[:, FEATURE_INDEX["charge"]] > 0) & (ours[:, 2] == -11)
    assert positive.any()
    assert (theirs[positive, 2:4] == (11, -1)).all()
    theirs[positive, 2:4] = -11, 1
    np.testing.assert_array_equal(ours, theirs)


def test_outputs_of_a_declared_size_are_preallocated_and_others_fail(run, refusal, toy_model, tmp_path):
    fixed = write_toy_model(tmp_path / "fixed.onnx", [("elements", "400")])
    for size in (400, 399):
        write_feature_file(tmp_path / f"{size}.features", [random_elements(np.random.default_rng(1), size)] * 2)
    np.testing.assert_array_equal(printed(run(fixed, tmp_path / "400.features")), printed(run(toy_model, tmp_path / "400.features")))
    assert "fixed.onnx: fails on 21945 values of Xfeat_normed" in refusal(fixed, tmp_path / "399.features")


SIGNATURE_MESSAGES = {
    "a missing mask": "inputs Xfeat_normed and mask are expected",
    "a further input": "input extra is unknown",
    "a double output": "output 0 (bid) is not float32",
    "swapped outputs": "output 0 (id) is not of shape (1, N, 2)",
}


@pytest.mark.parametrize("case", SIGNATURE_MESSAGES)
def test_a_model_of_another_signature_is_refused_with_what_was_found(case, refusal, tmp_path):
    path = write_toy_model(tmp_path / "toy.onnx", BROKEN_SIGNATURE[case][0])
    write_feature_file(tmp_path / "a.features", [])
    expected = f"{path}: not a model for this consumer: {SIGNATURE_MESSAGES[case]}; export one with mlpf export --target cmssw"
    assert refusal(path, tmp_path / "a.features") == expected


def test_models_of_mlpf_tell_their_features(run, refusal, tmp_path, window_model):
    write_feature_file(tmp_path / "a.features", [])
    assert "mlpf.features" in Producer(window_model).metadata
    assert run(window_model, tmp_path / "a.features").returncode == 0
    swapped = write_toy_model(tmp_path / "swapped.onnx", **{"mlpf.features": '["pt", "type"]'})
    with pytest.raises(ModelError, match="other features"):
        Producer(swapped)
    assert "made for other features or another order of them" in refusal(swapped, tmp_path / "a.features")


def test_what_is_not_a_model_is_refused_by_name(refusal, tmp_path):
    write_feature_file(tmp_path / "a.features", [])
    assert refusal(tmp_path / "none.onnx", tmp_path / "a.features") == f"{tmp_path}/none.onnx: no such file"
    assert refusal(tmp_path, tmp_path / "a.features") == f"{tmp_path}: no such file"
    message = refusal(tmp_path / "a.features", tmp_path / "a.features")
    assert message.startswith(f"{tmp_path}/a.features: ONNX Runtime 1.")
    assert "cannot load it (" in message


def replaced(at: int, number: bytes, content: bytes) -> bytes:
    return content[:at] + number + content[at + len(number) :]


# The file: header of 20 bytes; event 0 of 2 elements, 4 + 440 bytes; event 1 of 1 element, 4 + 220 bytes.
number = partial(struct.pack, "<I")
DAMAGES = {
    "empty": (lambda _: b"", "not a file of features; mlpf.producer.feature_file writes them"),
    "another kind": (lambda content: b"PK" + content, "not a file of features; mlpf.producer.feature_file writes them"),
    "of another version": (partial(replaced, 8, number(2)), "version 2 is unknown; this program reads version 1"),
    "of 41 features": (partial(replaced, 12, number(41)), "41 features per element, expected 55"),
    "cut in the header": (lambda content: content[:18], "ends after 0 events; it is cut off"),
    "cut before an event": (lambda content: content[:464], "ends after 1 events; it is cut off"),
    "cut in an event": (lambda content: content[:-1], "event 1: 1 elements need 220 bytes, the file has 219 more; it is cut off or damaged"),
    "too long": (lambda content: content + b"...", "3 bytes after the last of 2 events"),
    "of -1 elements": (
        partial(replaced, 20, struct.pack("<i", -1)),
        "event 0: 4294967295 elements need 944892804900 bytes, the file has 664 more; it is cut off or damaged",
    ),
    "of no type": (partial(replaced, 24 + 220, struct.pack("<f", np.nan)), "event 0: element 1: type nan is not a PF element type (0 to 11)"),
    "of type 12": (partial(replaced, 468, struct.pack("<f", 12.0)), "event 1: element 0: type 12.000000 is not a PF element type (0 to 11)"),
    "of type 1.5": (partial(replaced, 468, struct.pack("<f", 1.5)), "event 1: element 0: type 1.500000 is not a PF element type (0 to 11)"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_ends_in_one_line_that_names_it(damage, run, toy_model, tmp_path):
    change, message = DAMAGES[damage]
    path = tmp_path / "a.features"
    write_feature_file(path, [random_elements(np.random.default_rng(0), n) for n in (2, 1)])
    path.write_bytes(change(path.read_bytes()))
    done = run(toy_model, path)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if not line.startswith("event ")] == [f"mlpf_produce: {path}: {message}"]


def test_a_file_that_is_not_there_is_named(refusal, toy_model, tmp_path):
    for path in (tmp_path / "none.features", tmp_path):
        assert refusal(toy_model, path) == f"{path}: no such file, or not a readable one"


def test_the_command_line_explains_itself(run, refusal, toy_model):
    done = run("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: mlpf_produce [--cmssw-gsf-charge] MODEL.onnx EVENTS\n")
    assert refusal(toy_model) == "1 words, expected MODEL.onnx and EVENTS; see --help"
    assert refusal("--gpu", toy_model, toy_model) == "unknown option --gpu; see --help"


def test_a_full_disk_is_an_error(run, toy_model, tmp_path):
    write_feature_file(tmp_path / "a.features", [])
    with Path("/dev/full").open("w") as full:
        done = run(toy_model, tmp_path / "a.features", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "mlpf_produce: standard output cannot be written\n")


@pytest.mark.usefixtures("program")  # there are CMake and a compiler
def test_a_missing_onnx_runtime_is_named_by_cmake(tmp_path):
    options = ["-DCMAKE_FIND_ROOT_PATH=/nonexistent", "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY", "-DONNXRUNTIME_ROOT="]
    done = subprocess.run(["cmake", "-S", SOURCE, "-B", tmp_path, *options], capture_output=True, text=True)
    assert done.returncode != 0
    assert "pass its folder with -DONNXRUNTIME_ROOT=..." in " ".join(done.stderr.split())
