"""The run folder: it has its name only when the training is complete, and an earlier run of that name lives until then."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlpf.errors import MlpfError
from mlpf.io.files import check_replaceable
from mlpf.nn.saved import INFO

PARAMETERS = "parameters.yaml"
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
            raise MlpfError(f"{path}: exists already; choose another output or pass --overwrite")
        check_replaceable(path, PARAMETERS)


@contextmanager
def run_folder(folder: Path, report: Callable[[str], None]) -> Iterator[Path]:
    """Give a folder to train in; rename it to ``folder`` at the end of the block.

    After an error or an interrupt it keeps its temporary name if it holds the model of an epoch, and is removed otherwise.
    """
    temporary = unfinished(folder)
    if temporary.exists():
        shutil.rmtree(temporary)
    try:
        yield temporary
        if folder.exists():
            folder.rename(temporary / REPLACED)
        temporary.rename(folder)
        shutil.rmtree(folder / REPLACED, ignore_errors=True)
    except BaseException:
        if (temporary / INFO).is_file():
            report(f"{temporary}: holds the best epoch so far")
        else:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
