"""Optuna, or a word about how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from mlpf.errors import MissingDependencyError


@contextmanager
def quiet_optuna() -> Iterator[ModuleType]:
    """Gives the module; inside the block it reports no trials of its own.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("tuning needs Optuna; pip install 'mlpf[tune]'") from error
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(verbosity)
