"""Documents whose numbers are measured: tables between markers are replaced, the prose around them stays as it is."""

import re
from collections.abc import Mapping

from mlpf.errors import MlpfError, nearest

MAX_DECIMALS = 6
_BLOCK = re.compile(r"(<!-- measured: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(document: str, contents: Mapping[str, str], source: str) -> str:
    """Replace what stands between ``<!-- measured: NAME -->`` and ``<!-- end -->``.

    Args:
        document: Markdown.
        contents: Markdown of every block, by name.
        source: what the document is called, for errors.

    Raises:
        MlpfError: a marker names something that is not measured.
    """
    for match in _BLOCK.finditer(document):
        if match["name"] not in contents:
            raise MlpfError(f"{source}: nothing called '{match['name']}' is measured{nearest(match['name'], contents)} (known: {', '.join(contents)})")
    return _BLOCK.sub(lambda match: f"{match[1]}\n{contents[match['name']]}\n{match[3]}", document)


def plus_minus(value: float, low: float, high: float) -> str:
    """A value and half of its interval, with two digits of the uncertainty; with three digits where there is no interval."""
    if high <= low:
        return f"{value:.3g}"
    digits = _decimals(0.5 * (high - low))
    return f"{value:.{digits}f} ± {0.5 * (high - low):.{digits}f}"


def _decimals(error: float) -> int:
    """Decimals that show two digits of an uncertainty; no more than `MAX_DECIMALS`."""
    decimals = 0
    while error < 9.5 and decimals < MAX_DECIMALS:
        error *= 10
        decimals += 1
    return decimals
