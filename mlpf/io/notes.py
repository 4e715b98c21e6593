"""Notes on the pieces of what takes several runs: of what a finished file was made, so that the next run knows whether it is the one it would make."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlpf
from mlpf import schema
from mlpf.io.files import write_text


def key_of(made_of: Mapping[str, Any]) -> str:
    """Digest of all that the content of a file depends on: what JSON can hold of it, and this version of the program and of its schema."""
    program = [mlpf.__version__, schema.digest()]
    return hashlib.sha256(json.dumps({**made_of, "program": program}, sort_keys=True).encode()).hexdigest()


def write_note(note: Path, key: str, content: Mapping[str, Any]) -> None:
    """Write a note, whole or not at all.

    Args:
        note: its path.
        key: see `key_of`.
        content: anything else that JSON can hold.
    """
    write_text(note, json.dumps({"key": key, **content}))


def read_note(note: Path, key: str, file: Path) -> dict[str, Any] | None:
    """Content of the note on a file, if both are there and the file was made of what ``key`` stands for; whether it is still whole, its checksum tells."""
    try:
        content = json.loads(note.read_text())
    except (OSError, ValueError):  # no note, or one from a power cut
        return None
    return content if isinstance(content, dict) and content.get("key") == key and file.is_file() else None
