"""The run folder: it has its name only when the training is complete, and an earlier run of that name lives until then."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlpf.errors import MlpfError
from mlpf.io.files import check_replaceable, make_parent, writing
from mlpf.io.resumable import LOCK, locked_folder
from mlpf.nn.saved import INFO
from mlpf.training.checkpoints import LAST
from mlpf.training.distributed import on_first, rank
from mlpf.training.table import cut_rows

PARAMETERS = "parameters.yaml"
SCALING = "scaling.json"
ELEMENT_WEIGHTS = "element_weights.json"
INITIALIZATION = "initialization.json"
ENVIRONMENT = "environment.json"
DATASETS = "datasets.json"
METRICS = "metrics.csv"
STEPS = "steps.csv"
CHECKPOINTS = "checkpoints"
PLOTS = "plots"
REPLACED = "replaced"  # the earlier run, for the moment between two names


def unfinished(folder: Path) -> Path:
    """Where a run lies while it is trained."""
    return folder.with_name(f"{folder.name}.partial")


def check_output(folder: Path, overwrite: bool) -> None:
    """Refuse to replace what is not to be replaced.

    Raises:
        MlpfError: a run of that name exists, complete or not, and ``overwrite`` is off; or something there is not a run.
    """
    for path in (folder, unfinished(folder)):
        if path.exists() and not overwrite:
            resume = f", continue it with --resume {path}" if path != folder and (path / CHECKPOINTS / LAST).is_file() else ""
            raise MlpfError(f"{path}: exists already; choose another output{resume} or pass --overwrite")
        check_replaceable(path, PARAMETERS)


def find_interrupted(folder: Path) -> Path:
    """The final name of the run to resume, given that or the name of what there is of it.

    Raises:
        MlpfError: there is no such run, it is complete, or it was stopped before it had a checkpoint.
    """
    final = folder.with_name(folder.name.removesuffix(".partial"))
    partial = unfinished(final)
    if not partial.exists():
        if (final / PARAMETERS).is_file():
            raise MlpfError(f"{final}: is complete; to train on from its weights, start a new run with --init-from {final}")
        raise MlpfError(f"{partial}: no such folder; --resume takes a run that was interrupted")
    if not (partial / CHECKPOINTS / LAST).is_file():
        raise MlpfError(f"{partial}: was stopped before its first checkpoint; start it again with --overwrite")
    return final


def cut_back(folder: Path, step: int) -> None:
    """Remove from an interrupted run what it did after its last checkpoint, and what a killed process left half-written."""
    for name in (METRICS, STEPS):
        cut_rows(folder / name, step)
    for place in (folder, folder / CHECKPOINTS):
        for path in place.glob(".*.partial*"):
            path.unlink()


@contextmanager
def run_folder(folder: Path, report: Callable[[str], None], resumed: bool = False) -> Iterator[Path]:
    """Give a folder to train in; rename it to ``folder`` at the end of the block. Only the first of several processes does so.

    After an error or an interrupt it keeps its temporary name if it holds a model or a checkpoint, and is removed otherwise.

    Raises:
        MlpfError: another process trains there, or the file system refuses.
    """
    temporary = unfinished(folder)
    with ExitStack() as stack:
        on_first(lambda: stack.enter_context(_claimed(folder, resumed)))
        try:
            yield temporary
            if rank() == 0:
                _publish(temporary, folder)
        except BaseException:
            if rank() == 0:
                _leave(temporary, report)
            raise


@contextmanager
def _claimed(folder: Path, resumed: bool) -> Iterator[None]:
    """Keep other processes from training the run, which is empty in the beginning if it is not resumed."""
    temporary = unfinished(folder)
    make_parent(temporary)
    with locked_folder(temporary, folder):
        if not resumed:
            with writing(temporary):
                for path in temporary.iterdir():
                    if path.name != LOCK:
                        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield


def _publish(temporary: Path, folder: Path) -> None:
    with writing(folder):
        (temporary / LOCK).unlink()
        if folder.exists():
            folder.rename(temporary / REPLACED)
        temporary.rename(folder)
        shutil.rmtree(folder / REPLACED, ignore_errors=True)


def _leave(temporary: Path, report: Callable[[str], None]) -> None:
    """Keep what may be of use."""
    if (temporary / CHECKPOINTS / LAST).is_file():
        report(f"{temporary}: holds what was learnt so far; --resume {temporary} goes on")
    elif (temporary / INFO).is_file():
        report(f"{temporary}: holds the best model so far")
    else:
        shutil.rmtree(temporary, ignore_errors=True)
