"""Several files that belong together: all of them are new, or none is."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlpf.io.files import make_parent, writing


@contextmanager
def files_together(finals: Sequence[Path]) -> Iterator[list[Path]]:
    """Give temporary paths for files of one folder; at the end of the block all get their names, the first as the last.

    After an error or an interrupt everything is as before. A process that is killed between the renames leaves some of the others new and the first as it was:
    so the first is the one that the others describe.

    Args:
        finals: the files; existing ones are replaced.

    Raises:
        MlpfError: the file system refuses.
    """
    first = finals[0]
    make_parent(first)
    with writing(first):
        scratch = Path(tempfile.mkdtemp(prefix=f".{first.stem}.", suffix=".partial", dir=first.parent))
        new, old = scratch / "new", scratch / "old"
        try:
            new.mkdir()
            old.mkdir()
            yield [new / final.name for final in finals]
            _rename(finals, new, old)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _rename(finals: Sequence[Path], new: Path, old: Path) -> None:
    for final in finals:
        if final.exists():
            shutil.copy2(final, old / final.name)  # not moved: at any time each name has a whole file
    try:
        for final in reversed(finals):
            (new / final.name).replace(final)
    except BaseException:
        for final in finals:
            if not (new / final.name).exists():
                _restore(final, old / final.name)
        raise


def _restore(final: Path, former: Path) -> None:
    if former.exists():
        former.replace(final)
    else:
        final.unlink(missing_ok=True)
