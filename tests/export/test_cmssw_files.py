import ast
import re

import pytest

from mlpf.errors import ModelError
from mlpf.export.cmssw_files import check_name
from mlpf.export.exporter import companions


class Module:
    """A module of a CMSSW process as far as a customise function sees it: any other attribute than these is an error there."""

    __slots__ = ("kind", "model_path")

    def __init__(self, kind, model_path="RecoParticleFlow/PFProducer/data/mlpf/default.onnx"):
        self.kind, self.model_path = kind, model_path

    def type_(self):
        return self.kind


class Process:
    pass


def customised(path, **modules):
    """A process with these modules, after the customise function of an exported model was called on it as cmsDriver.py does."""
    process, names = Process(), {}
    vars(process).update(modules)
    exec(compile(path.with_name(f"{path.stem}_customise.py").read_text(), "customise", "exec"), names)
    assert names["customise_mlpf_model"](process) is process
    return process


def test_the_producer_reads_the_model_under_either_label(exported_toy):
    process = customised(exported_toy.path, particleFlowTmp=Module("MLPFProducer"), mlpfProducer=Module("MLPFProducer"))
    assert process.particleFlowTmp.model_path == process.mlpfProducer.model_path == "RecoParticleFlow/PFProducer/data/mlpf/toy_v1.onnx"


def test_a_process_without_the_modifier_is_left_alone(exported_toy):
    process = customised(exported_toy.path, particleFlowTmp=Module("PFProducer", "of another kind"), other=Module("MLPFProducer"))
    assert process.particleFlowTmp.model_path == "of another kind"
    assert process.other.model_path.endswith("default.onnx")
    assert not hasattr(process, "mlpfProducer")
    assert vars(customised(exported_toy.path)) == {}  # a step without reconstruction


def test_the_function_is_found_by_the_name_that_page_and_module_give(exported_toy):
    page = exported_toy.path.with_suffix(".md").read_text()
    named = set(re.findall(r"--customise (\S+?)[\"\n]", page))
    assert named == {"RecoParticleFlow/PFProducer/toy_v1_customise.customise_mlpf_model"}
    (name,) = named
    module, function = name.split(".")  # cmsDriver.py: more than one dot is an error
    path = exported_toy.path.with_name(f"{module.split('/')[-1]}.py")
    tree = ast.parse(path.read_text())
    assert function in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    ast.parse(f"from {module.replace('/', '.')} import {function}")  # what cmsDriver.py writes into the configuration
    assert name in ast.get_docstring(tree)


def test_the_page_says_where_the_files_go_and_how_to_run(exported_toy):
    page = exported_toy.path.with_suffix(".md").read_text()
    for path in companions(exported_toy.path, "cmssw"):
        assert path.is_file()
        assert path.name in page or path.suffix == ".md"
    for needed in ("RecoParticleFlow/PFProducer/data/mlpf", "RecoParticleFlow/PFProducer/python/", "11834.13", "11843.13", "--procModifiers mlpf"):
        assert needed in page
    for needed in ("run_relval.sh", "MLPF/config.pbtxt", "MLPF/1/toy_v1.onnx", "cms-data/RecoParticleFlow-PFProducer", exported_toy.card.sha256):
        assert needed in page
    assert not re.search(r"[{}]", page)  # nothing left to fill in


@pytest.mark.parametrize("name", ["ttbar-v2.onnx", "model.v1.onnx", "2026.onnx", "my model.onnx", "größe.onnx"])
def test_names_that_cmssw_cannot_import_are_refused(tmp_path, name):
    with pytest.raises(ModelError, match="use letters, digits and _ only"):
        check_name(tmp_path / name)


def test_usual_names_are_taken(tmp_path):
    for name in ("model.onnx", "mlpf_5M_20260101.onnx", "_x.onnx"):
        check_name(tmp_path / name)
