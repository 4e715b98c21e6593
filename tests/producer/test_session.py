"""Which execution providers a device asks for; the ONNX Runtime of a machine with a GPU is played by one of this module."""

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import _pybind_state
from toy_graph import write_toy_model

from mlpf.errors import MlpfError, ModelError
from mlpf.producer import Producer, available_devices, session
from mlpf.producer.session import open_session

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")


@pytest.fixture
def runtime(monkeypatch, tmp_path):
    """Puts an ONNX Runtime built for these providers, of which only some start, in the place of the installed one; returns what it is asked for."""
    monkeypatch.setenv("MLPF_CACHE", str(tmp_path / "cache"))

    def install(built, starts, error=None):
        asked = []

        def inference_session(path, options, **arguments):
            asked.append(("session", path, options, arguments))
            if error:
                raise error
            return SimpleNamespace(get_providers=lambda: [name for name, _ in arguments["providers"] if name in starts] + [CPU])

        names = {name: getattr(onnxruntime, name) for name in ("SessionOptions", "ExecutionMode", "__version__")}
        fake = SimpleNamespace(
            **names, get_available_providers=lambda: built, InferenceSession=inference_session, preload_dlls=lambda: asked.append(("libraries",))
        )
        monkeypatch.setattr(session, "onnxruntime", fake)
        return asked

    return install


def test_on_a_cpu_the_options_are_the_consumers(model_path):
    opened = open_session(model_path, threads=3)
    options = opened.get_session_options()
    assert (options.intra_op_num_threads, options.execution_mode) == (3, onnxruntime.ExecutionMode.ORT_SEQUENTIAL)
    untouched = onnxruntime.SessionOptions()
    for name in ("graph_optimization_level", "enable_cpu_mem_arena", "enable_mem_pattern", "use_deterministic_compute"):
        assert getattr(options, name) == getattr(untouched, name)
    assert opened.get_providers() == [CPU]
    assert open_session(model_path).get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize(
    ("built", "devices"), [([CPU], ["cpu"]), ([CUDA, CPU], ["cpu", "cuda"]), ([TENSORRT, CUDA, CPU], ["cpu", "cuda", "tensorrt"]), ([TENSORRT, CPU], ["cpu"])]
)
def test_the_devices_are_those_that_the_runtime_is_built_for(runtime, built, devices):
    runtime(built, built)
    assert list(available_devices()) == devices


def test_cuda_is_opened_with_its_defaults_after_its_libraries(runtime, model_path):
    asked = runtime([TENSORRT, CUDA, CPU], [CUDA])
    open_session(model_path, "cuda")
    assert [what[0] for what in asked] == ["libraries", "session"]
    _, path, options, arguments = asked[-1]
    assert (path, options.intra_op_num_threads) == (str(model_path), 1)
    assert arguments == {"providers": [(CUDA, {})], "enable_fallback": 0}


def test_tensorrt_keeps_its_engines_per_model_and_leaves_the_rest_to_cuda(runtime, model_path, tmp_path):
    asked = runtime([TENSORRT, CUDA, CPU], [TENSORRT, CUDA])
    other = write_toy_model(tmp_path / "other.onnx", name="other")
    for path in (model_path, model_path, other):
        open_session(path, "tensorrt")
    providers = [what[-1]["providers"] for what in asked if what[0] == "session"]
    assert [[name for name, _ in pair] for pair in providers] == [[TENSORRT, CUDA]] * 3
    options = [pair[0][1] for pair in providers]
    assert options[0] == options[1]
    assert options[0]["trt_engine_cache_enable"] is options[0]["trt_timing_cache_enable"] is True
    folders = {entry[key] for entry in options for key in ("trt_engine_cache_path", "trt_timing_cache_path")}
    assert folders == {str(path) for path in (tmp_path / "cache" / "tensorrt").iterdir()}
    assert len(folders) == 2


def test_a_cache_that_cannot_be_made_is_one_clear_error(runtime, model_path, tmp_path, monkeypatch):
    runtime([TENSORRT, CUDA, CPU], [TENSORRT, CUDA])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLPF_CACHE", str(tmp_path / "file"))
    with pytest.raises(MlpfError, match=r"file/tensorrt/.*: cannot be written: Not a directory"):
        open_session(model_path, "tensorrt")


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_runtime_without_the_provider_is_refused_with_what_to_install(runtime, model_path, device):
    asked = runtime([CPU], [CPU])
    with pytest.raises(ModelError, match=rf"device '{device}': this ONNX Runtime has only {CPU}; install onnxruntime-gpu in its place or pass --device cpu"):
        open_session(model_path, device)
    assert not asked


@pytest.mark.parametrize(
    ("device", "starts", "message"),
    [
        ("cuda", [], rf"could not start its {CUDA}; check the driver.* pass --device cpu"),
        ("tensorrt", [CUDA], rf"could not start its {TENSORRT}; .*pass --device cuda"),
        ("tensorrt", [TENSORRT], rf"could not start its {CUDA}; .*pass --device cpu"),
    ],
)
def test_a_provider_that_does_not_start_is_no_silent_fallback(runtime, model_path, device, starts, message):
    runtime([TENSORRT, CUDA, CPU], starts)
    with pytest.raises(ModelError, match=rf"device '{device}': ONNX Runtime {message}"):
        open_session(model_path, device)


def test_a_provider_that_raises_is_named_with_its_remedy(runtime, model_path):
    runtime([TENSORRT, CUDA, CPU], [], RuntimeError("libnvinfer.so.10: cannot\nopen"))
    with pytest.raises(ModelError, match=r"toy\.onnx: .* cannot load it on tensorrt \(libnvinfer\.so\.10: cannot open\); .*pass --device cuda$"):
        open_session(model_path, "tensorrt")


def test_a_provider_that_fails_while_running_is_no_silent_fallback(model_path, monkeypatch):
    opened = open_session(model_path)
    inner = opened._sess

    class Failing:
        def __getattr__(self, name):
            return getattr(inner, name)

        def run(self, *_):
            raise _pybind_state.EPFail("lost the GPU")

    monkeypatch.setattr(opened, "_sess", Failing())
    feed = {"Xfeat_normed": np.zeros((1, 2, 55), np.float32), "mask": np.ones((1, 2), np.float32)}
    with pytest.raises(_pybind_state.EPFail, match="lost the GPU"):
        opened.run(["bid"], feed)


def test_an_unknown_device_is_refused(model_path):
    with pytest.raises(ModelError, match="device 'tpu': unknown; choose one of cpu, cuda, tensorrt"):
        open_session(model_path, "tpu")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA")
def test_a_gpu_that_is_not_there_is_no_silent_cpu(model_path):
    with pytest.raises(ModelError, match="pass --device cpu"):
        open_session(model_path, "cuda")


def test_what_is_not_a_model_is_refused_by_name(tmp_path):
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"garbage.onnx: ONNX Runtime .* cannot load it on cpu \([^)]*\)$"):
        open_session(path)
    with pytest.raises(ModelError, match="no such file"):
        open_session(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match=r"a folder; mlpf export makes a model"):
        open_session(tmp_path)


def test_tensorrt_sees_the_ends_of_its_range_before_the_first_event(model_path, monkeypatch):
    shapes = []

    class Recorded:
        def __init__(self, path, _device, threads):
            self._session = open_session(path, "cpu", threads)

        def __getattr__(self, name):
            return getattr(self._session, name)

        def run(self, names, feed):
            shapes.append(feed["Xfeat_normed"].shape)
            return self._session.run(names, feed)

    monkeypatch.setattr("mlpf.producer.producer.open_session", Recorded)
    for device, expected in (("tensorrt", [(1, 1, 55), (1, 16_384, 55)]), ("cuda", []), ("cpu", [])):
        shapes.clear()
        assert len(Producer(model_path, device).call_seconds) == 0
        assert shapes == expected
