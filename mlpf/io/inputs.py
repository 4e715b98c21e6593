"""Whatever holds events, opened by what it holds: one function for all commands that read files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mlpf import schema
from mlpf.errors import NtupleError
from mlpf.events import Events
from mlpf.io.delphes import DelphesFile
from mlpf.io.edm4hep import Edm4hepFile
from mlpf.io.foreign import ForeignFile
from mlpf.io.ntuple import CHUNK_BYTES, Ntuple
from mlpf.io.root import open_root, reading_metadata


class Input(Protocol):
    """An open file of events in the columns of `schema.NTUPLE`; use as a context manager.

    Attributes:
        path: the file.
        tree_path: where its tree was found.
        version: kind and version of the file, for people.
        uuid: what ROOT told this file from all others by when it was made.
        num_events: entries of the tree.
        branches: column -> where it comes from; only columns that `iterate` can give.
        missing: columns of the version's schema that the file lacks.
    """

    path: Path
    tree_path: str
    version: str
    uuid: str
    num_events: int
    branches: dict[str, str]

    @property
    def missing(self) -> tuple[str, ...]:
        """See above."""

    def parts(self, columns: Sequence[str], part_bytes: int) -> list[tuple[int, int]]:
        """Ranges of events that together are the file, of about ``part_bytes`` of uncompressed columns each; they depend on the file alone."""

    def iterate(self, columns: Sequence[str] | None = None, chunk_bytes: int = CHUNK_BYTES, stop: int | None = None, start: int = 0) -> Iterator[Events]:
        """Stream the events in order; see `Ntuple.iterate`."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


KINDS: dict[str, tuple[str, type[Ntuple] | type[ForeignFile]]] = {
    **dict.fromkeys(schema.TREE_PATHS, ("PFAnalysis ntuple", Ntuple)),
    DelphesFile.tree_path: ("Delphes", DelphesFile),
    Edm4hepFile.tree_path: ("EDM4hep", Edm4hepFile),
}
"""Path of a tree -> what a file with it is, and who opens it."""


def open_input(path: str | Path) -> Input:
    """Open a file of events: a PFAnalysis ntuple of any version, a Delphes or an EDM4hep file. The trees that it holds tell which.

    Raises:
        NtupleError: the file cannot be read, or holds nothing that is known.
    """
    path = Path(path)
    with open_root(path) as file, reading_metadata(path):
        found = next((kind for tree, (_, kind) in KINDS.items() if tree in file), None)
        held = ", ".join(file.keys(cycle=False)[:5]) or "nothing"
    if found is None:
        known = ", ".join(f"{tree} ({name})" for tree, (name, _) in KINDS.items())
        raise NtupleError(f"{path}: no tree that is known; known are {known}; the file holds {held}")
    return found(path)
