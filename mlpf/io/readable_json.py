"""JSON for programs that people read, too."""

import json
from typing import Any


def readable_json(value: Any, indent: str = "") -> str:
    """JSON with a line for every list or mapping of plain values."""
    inner = indent + " "
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(isinstance(part, dict | list) for part in parts):
        return json.dumps(value, allow_nan=False)
    keys = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(parts)
    lines = ",\n".join(f"{inner}{key}{readable_json(part, inner)}" for key, part in zip(keys, parts, strict=True))
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{lines}\n{indent}{last}"
