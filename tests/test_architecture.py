"""The house has storeys: a part imports only from storeys below its own, and most of it works without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

STOREYS = [
    {"errors"},
    {"schema", "kinematics", "config"},
    {"events"},
    {"io", "features", "hashes", "selection", "jets", "jet_kernels", "graph", "candidates", "random_elements", "random_ntuple"},
    {"postprocess", "classical", "samples", "metrics", "producer"},
    {"simulation", "dataset", "nn", "loss", "testing"},
    {"training", "plotting", "export"},
    {"evaluation", "tuning"},
    {"cli"},
]
STOREY_OF = {part: level for level, parts in enumerate(STOREYS) for part in parts}
NEEDS_TORCH = {"dataset", "nn", "loss", "training", "export", "tuning"}
PACKAGE = Path(__file__).parents[1] / "mlpf"
ON_DEVICE = PACKAGE / "classical" / "on_device"  # the versions in torch of algorithms that the core has without


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(source: str) -> set[str]:
    """Parts of mlpf that a module imports, anywhere in it."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "mlpf":
            modules |= {f"mlpf.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return {module.split(".")[1] for module in modules if module.startswith("mlpf.")}


def upward_imports(part: str, source: str) -> set[str]:
    return {other for other in imports_of(source) if other in STOREY_OF and other != part and STOREY_OF[other] > STOREY_OF[part]}


def test_every_part_has_a_storey():
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert parts <= set(STOREY_OF), f"no storey for {parts - set(STOREY_OF)}"


def test_imports_point_downwards_only():
    found = {str(path): up for path in PACKAGE.rglob("*.py") if part_of(path) in STOREY_OF and (up := upward_imports(part_of(path), path.read_text()))}
    assert not found


def test_the_import_check_sees_an_upward_import():
    assert upward_imports("events", "from mlpf.training import fit") == {"training"}
    assert upward_imports("events", "def f():\n    from mlpf import cli") == {"cli"}
    assert upward_imports("cli", "from mlpf import schema") == set()


@pytest.mark.parametrize("blocked", ["torch"])
def test_the_core_and_the_producer_import_without_torch(blocked):
    parts = sorted(part for part in STOREY_OF if part not in NEEDS_TORCH and ((PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()))
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for part in parts
        for path in ([PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").is_file() else sorted((PACKAGE / part).rglob("*.py")))
        if ON_DEVICE not in path.parents
    ]
    code = f"""
import importlib, importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {blocked!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
for name in {modules!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
