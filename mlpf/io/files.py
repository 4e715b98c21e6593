"""Output that is either complete or absent: written under a temporary name, renamed when done."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlpf.errors import MlpfError


@contextmanager
def atomic_file(final: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``final``; rename it to ``final`` at the end of the block, remove it on any error or interrupt.

    The temporary name keeps the suffix of ``final``, since some writers choose the format by it.
    """
    final = Path(final)
    _make_parent(final)
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
    """Give a temporary folder beside ``final``; rename it to ``final`` at the end of the block, remove it on any error or interrupt.

    Raises:
        MlpfError: ``final`` exists and ``overwrite`` is off.
    """
    final = Path(final)
    if final.exists() and not overwrite:
        raise MlpfError(f"{final}: exists already; choose another output or pass --overwrite")
    _make_parent(final)
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
    temporary.chmod(0o777 & ~_umask())
    try:
        yield temporary
        if final.is_dir():
            shutil.rmtree(final)
        else:
            final.unlink(missing_ok=True)
        temporary.replace(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MlpfError(f"{path.parent}: cannot make the folder: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
