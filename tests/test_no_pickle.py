"""Nothing is unpickled from a file that a user may have downloaded; what Lightning reads goes through `mlpf.training.checkpoints.AtomicCheckpoints`."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mlpf"
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def unpickling(source: str) -> list[str]:
    """Imports and calls that unpickle, or may."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in PICKLERS:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            found += _risky(node)
    return found


def _risky(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in ("torch.load", "load_from_checkpoint") or name.endswith(".load_from_checkpoint"):
        return [] if options.get("weights_only") == "True" else [name]
    if name.endswith("read_pickle") or options.get("allow_pickle", "False") != "False":
        return [name]
    return []


def test_nothing_in_the_library_unpickles():
    found = {str(path.relative_to(PACKAGE)): names for path in PACKAGE.rglob("*.py") if (names := unpickling(path.read_text()))}
    assert not found


def test_the_check_sees_what_unpickles():
    assert unpickling("import pickle") == ["pickle"]
    assert unpickling("from joblib import load") == ["joblib"]
    assert unpickling("torch.load(path)") == ["torch.load"]
    assert unpickling("torch.load(path, weights_only=False)") == ["torch.load"]
    assert unpickling("torch.load(path, weights_only=True)") == []
    assert unpickling("np.load(path, allow_pickle=True)") == ["np.load"]
    assert unpickling("np.load(path, allow_pickle=False)") == []
    assert unpickling("Module.load_from_checkpoint(path)") == ["Module.load_from_checkpoint"]
