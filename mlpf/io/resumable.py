"""A folder, or one file, that several runs of a command make: what one run finished, the next one finds; complete or absent under its name all the same."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mlpf.errors import MlpfError
from mlpf.io.files import flush_to_disk, make_parent, writing

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)  # what a file system says that knows no locks


class Unfinished:
    """A folder or a file in the making, see `resumable_directory`.

    Attributes:
        final: its name when it is done.
        new: what is there of the folder; of a file, the parts.
        notes: folder for whatever tells what is in ``new``; it goes when ``final`` comes.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.scratch = final.with_name(f".{final.name}.partial")
        self.new, self.notes, self._old = (self.scratch / name for name in ("new", "notes", "old"))

    def prepare(self) -> None:
        """Make the folders; what a kill in the middle of `publish` left, `restore` mends."""
        self.restore()
        self.new.mkdir(exist_ok=True)
        self.notes.mkdir(exist_ok=True)

    def restore(self) -> None:
        """Bring an older ``final`` back if something came just between its going and the coming of the new one."""
        if self._old.exists() and not self.final.exists():
            self._old.replace(self.final)

    def publish(self) -> None:
        """Give the folder its name; an older one goes only then, whole and whatever it holds.

        Raises:
            MlpfError: the file system refuses.
        """
        with writing(self.final):
            for path in (*self.new.iterdir(), self.new):
                flush_to_disk(path)
            shutil.rmtree(self._old, ignore_errors=True)
            if self.final.exists():
                self.final.replace(self._old)  # not removed in its place: a kill in the middle would leave half of it under the final name
            self.new.replace(self.final)
            flush_to_disk(self.final.parent)
        self.discard()

    def publish_file(self, whole: Path) -> None:
        """Give a file that was made of all parts its name, in the place of an older one, and forget the parts.

        Raises:
            MlpfError: the file system refuses.
        """
        with writing(self.final):
            flush_to_disk(whole)
            whole.replace(self.final)
            flush_to_disk(self.final.parent)
        self.discard()

    def discard(self) -> None:
        """Forget what was made."""
        for folder in (self.notes, self.new, self._old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def resumable_directory(final: str | Path) -> Iterator[Unfinished]:
    """Make a folder or a file over several runs: what one leaves in ``.<name>.partial`` beside it, by an error, Ctrl-C, a kill or a power cut, the next finds.

    The block calls `Unfinished.publish` when the folder is complete, or `Unfinished.publish_file`. Where the notes are empty at its end, nothing stays.

    Raises:
        MlpfError: another process makes the same folder, or the file system refuses.
    """
    unfinished = Unfinished(Path(final).resolve())  # also where the name is a link, or ``.``
    make_parent(unfinished.final)
    with locked_folder(unfinished.scratch, unfinished.final):
        with writing(unfinished.final):
            unfinished.prepare()
        try:
            yield unfinished
        finally:
            unfinished.restore()
            if not unfinished.notes.is_dir() or not any(unfinished.notes.iterdir()):
                unfinished.discard()


@contextmanager
def locked_folder(folder: Path, final: Path) -> Iterator[None]:
    """Make a folder and hold its file `LOCK`; afterwards remove that, and the folder if it is empty.

    The lock goes with the process, however that ends. It holds for all processes of a machine, and for those of others if their file system says so.

    Args:
        folder: where something is being made.
        final: what it is to become, for the error.

    Raises:
        MlpfError: another process holds it, or the file system refuses.
    """
    lock = None
    while lock is None:
        with writing(final):
            folder.mkdir(exist_ok=True)
            lock = _take(folder / LOCK, final)
    with lock:
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # it holds what is unfinished, or the lock of a process that came in between
                folder.rmdir()


def _take(path: Path, final: Path) -> TextIO | None:
    """An open, locked file; None if its last owner removed it in between. Locks that the file system does not know are done without."""
    try:
        stream = path.open("a")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(stream.fileno()).st_ino:
            return stream
    except BlockingIOError as error:
        stream.close()
        raise MlpfError(f"{final}: another process is making it; wait for its end, or choose another output") from error
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return stream
        stream.close()
        raise
    stream.close()
    return None
