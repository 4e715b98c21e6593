import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    """The slow, readable postprocessing in `reference.py` of this folder."""
    spec = importlib.util.spec_from_file_location("postprocess_reference", Path(__file__).with_name("reference.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
