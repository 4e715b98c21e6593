"""Output that is either complete or absent: written under a temporary name, renamed when done."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlpf.errors import MlpfError

CACHE_VARIABLE = "MLPF_CACHE"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_folder() -> Path:
    """Where what can be made again is kept: ``$MLPF_CACHE``, else ``$XDG_CACHE_HOME/mlpf``, else ``~/.cache/mlpf``."""
    base = os.environ.get(CACHE_VARIABLE)
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlpf"


@contextmanager
def atomic_file(final: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``final``; rename it to ``final`` at the end of the block, remove it on any error or interrupt.

    The temporary name keeps the suffix of ``final``, since some writers choose the format by it.
    """
    final = Path(final)
    make_parent(final)
    with writing(final):
        descriptor, name = tempfile.mkstemp(prefix=f".{final.stem}.", suffix=f".partial{final.suffix}", dir=final.parent)
        os.close(descriptor)
        temporary = Path(name)
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; ours are as shared as the user's others
        try:
            yield temporary
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(final: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder; rename it to ``final`` at the end of the block, remove it on any error or interrupt.

    An older ``final`` goes only then, whole and whatever it holds: see `check_replaceable`.

    Raises:
        MlpfError: ``final`` exists and ``overwrite`` is off, or the file system refuses.
    """
    final = Path(final).resolve()  # also where the name is a link, or ``.``
    if final.exists() and not overwrite:
        raise MlpfError(f"{final}: exists already; choose another output or pass --overwrite")
    make_parent(final)
    with writing(final):
        scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
        new, old = scratch / "new", scratch / "old"
        try:
            new.mkdir()
            yield new
            if final.exists():
                final.replace(old)  # not removed in its place: a kill in the middle would leave half of it under the final name
            new.replace(final)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def check_replaceable(folder: str | Path, marker: str) -> None:
    """Refuse to overwrite what is not an older output of the same kind.

    Args:
        folder: the output, which may exist.
        marker: a file that every such output holds.

    Raises:
        MlpfError: the folder exists and lacks that file.
    """
    if Path(folder).exists() and not (Path(folder) / marker).is_file():
        raise MlpfError(f"{folder}: holds no {marker}, so it is not overwritten; choose another output")


def keep_only(folder: Path, names: set[str]) -> None:
    """Remove whatever else a folder holds."""
    with writing(folder):
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(final: Path) -> Iterator[None]:
    """Name the output when the file system refuses: no space, no permission, a folder in the place of a file."""
    try:
        yield
    except OSError as error:
        raise MlpfError(f"{final}: cannot be written: {error.strerror or error}") from error


@contextmanager
def naming_full_disk(folder: Path) -> Iterator[None]:
    """Name the output when there is no more space for it, whoever writes into it; other errors of the system pass, they may come from reading."""
    try:
        yield
    except (OSError, ValueError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__  # Lightning makes a ValueError of what TensorBoard raises
        if isinstance(cause, OSError) and cause.errno in _FULL:
            raise MlpfError(f"{folder}: cannot be written: {cause.strerror}") from error
        raise


def make_parent(path: Path) -> None:
    """Make the folder that is to hold a path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MlpfError(f"{path.parent}: cannot make the folder: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
