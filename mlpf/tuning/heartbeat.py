"""A file that tells other processes, on this machine or one that shares its files, that this one lives."""

import math
import os
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

BEAT_SECONDS = 10.0


class Heartbeat:
    """Touches a file every few seconds from its making until `stop`, which removes it; the file says which process that is.

    Kill, crash and power cut leave the file behind, older and older. Unlike a lock that holds on every network file system, and between containers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stopped = threading.Event()
        path.write_text(f"{socket.gethostname()} {os.getpid()}\n")
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            with suppress(OSError):  # a file system that is away for a moment, or somebody took us for dead
                os.utime(self.path)

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)


def last_beat(path: Path) -> float:
    """When it was touched last [s], by the clock of the file system; minus infinity where there is no file."""
    try:
        with path.open() as stream:  # to open makes NFS ask the server
            return os.fstat(stream.fileno()).st_mtime
    except FileNotFoundError:
        return -math.inf


def file_system_time(folder: Path) -> float:
    """Now [s], by the clock of the file system of a folder: those of the machines that share it may differ."""
    with tempfile.TemporaryFile(dir=folder) as stream:
        return os.fstat(stream.fileno()).st_mtime
