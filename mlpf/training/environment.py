"""Where and with what a model was trained, as far as it may matter to its numbers; no names of people, machines or folders."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import mlpf
from mlpf.producer.hardware import processor_name

DISTRIBUTIONS = ("mlpf", "torch", "lightning", "torch-geometric", "numpy", "numba", "onnx", "safetensors")


def environment_record() -> dict[str, Any]:
    """Code, machine and versions, ready for YAML or JSON; what cannot be told is None."""
    return {
        "git": git_state(Path(mlpf.__file__).parent),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": {"model": processor_name("cpu"), "cores": os.cpu_count()},
        "gpu": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "versions": {name: _version(name) for name in DISTRIBUTIONS},
    }


def git_state(package: Path) -> dict[str, Any] | None:
    """Commit of the checkout that a package's folder lies in, and whether the package differs from it; None where it is installed otherwise."""
    root = _git(package, "rev-parse", "--show-toplevel")
    if root is None or Path(root).resolve() != package.resolve().parent:  # else: site-packages inside somebody's repository
        return None
    changes = _git(package, "status", "--porcelain", "--", ".")
    return {"commit": _git(package, "rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
