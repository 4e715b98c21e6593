"""ROOT files that may be damaged: found out before and while they are read, said in one line."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uproot

from mlpf.errors import NtupleError


def open_root(path: Path) -> uproot.ReadOnlyDirectory:
    """Open a ROOT file; use as a context manager or close it.

    Raises:
        NtupleError: it is missing, truncated, damaged or something else.
    """
    _require_complete(path)
    with reading_metadata(path):
        # Nothing is read twice, and uproot's caches outlive the file until the garbage collector comes: 60 MB more per file of 50 MB.
        return uproot.open(path, object_cache=None, array_cache=None)


def _require_complete(path: Path) -> None:
    """Compare the file's size with the end that its header names (TFile: magic, version, fBEGIN, fEND; 64-bit from version 1000000 on)."""
    if path.is_dir():
        raise NtupleError(f"{path}: a folder; name the .root files in it")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            header = stream.read(20)
    except OSError as error:
        raise NtupleError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if size == 0:
        raise NtupleError(f"{path}: the file is empty (0 bytes)")
    if not header.startswith(b"root") or len(header) < 20:
        raise NtupleError(f"{path}: not a ROOT file (it starts with {header[:4]!r})")
    (version,) = struct.unpack(">i", header[4:8])
    (end,) = struct.unpack(">q", header[12:20]) if version >= 1_000_000 else struct.unpack(">i", header[12:16])
    if end > size:
        raise NtupleError(f"{path}: truncated, {size} bytes of {end}; copy it again")


@contextmanager
def reading(path: Path, what: str = "") -> Iterator[None]:
    """Turn whatever a ROOT parser raises on damaged bytes into one `NtupleError`."""
    try:
        yield
    except (NtupleError, MemoryError):
        raise
    except Exception as error:  # uproot raises a dozen kinds, from struct.error to AttributeError, on damaged bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        place = f"{path}: {what}" if what else str(path)
        raise NtupleError(f"{place}: not readable as a ROOT ntuple, damaged? ({reason})") from error


@contextmanager
def reading_metadata(path: Path, what: str = "") -> Iterator[None]:
    """`reading` of what a file says about itself, a few MB in a sound file: a lack of memory means that a length in it is absurd."""
    with reading(path, what):
        try:
            yield
        except MemoryError as error:
            raise ValueError("a length in it asks for more memory than there is") from error
