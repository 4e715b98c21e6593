"""How systems look in every figure: colour, marker and line, so that no difference hangs on colour alone."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from mlpf.metrics.systems import RULE_BASED, TARGETS

HARD = "_hard"  # what the keys of systems without pileup end in


class Look(NamedTuple):
    """How one system is drawn."""

    color: str
    marker: str
    line: tuple[float, tuple[float, ...]] | Literal["-"]  # matplotlib's linestyle


# Colours of arXiv:2107.02270: those of its palettes that are seen on white and on a dark page (contrast at least 2.5 on #ffffff and #16181c) and that stay
# furthest apart with any colour blindness (CIELAB distance at least 19 among the first seven; Machado et al. 2009 at full strength).
_RULE_BASED = Look("#ff5e02", "s", (0, (5, 1.5)))
_TARGETS = Look("#717581", "D", (0, (1, 1)))
_MODELS = (
    Look("#5790fc", "o", "-"),
    Look("#832db6", "^", (0, (7, 1.5, 1.5, 1.5))),
    Look("#a96b59", "v", (0, (3, 1))),
    Look("#bd1f01", "P", (0, (4, 1, 1, 1, 1, 1))),
    Look("#1845fb", "X", (0, (2, 1))),
    Look("#c849a9", "*", (0, (8, 2))),
)
_HARD_MARKERS = {"s": "8", "D": "d", "o": "h", "^": "<", "v": ">", "P": "+", "X": "x", "*": "p"}
_HARD_LINE = (0, (1, 2))


def look_of_systems(systems: Iterable[str], models: Sequence[str] | None = None) -> dict[str, Look]:
    """Look of each system: that of a model depends on its place among the models only, one without pileup has the colour of the one with.

    Args:
        systems: keys.
        models: all models that are shown together, also those that these systems lack; by default those among the systems.
    """
    systems = list(systems)
    models = models_of(systems) if models is None else models
    looks = {RULE_BASED: _RULE_BASED, TARGETS: _TARGETS, **{model: _MODELS[i % len(_MODELS)] for i, model in enumerate(models)}}
    hard = {key + HARD: Look(look.color, _HARD_MARKERS[look.marker], _HARD_LINE) for key, look in looks.items()}
    return {key: (looks | hard)[key] for key in systems}


def models_of(systems: Iterable[str]) -> list[str]:
    """The systems that are models."""
    return [key for key in systems if key not in (RULE_BASED, TARGETS) and not key.endswith(HARD)]


def default_reference(systems: Iterable[str]) -> str:
    """What the others are compared with unless something else is asked for, in ratios and in tables: rule-based PF, without it the first model.

    Args:
        systems: keys, at least one; without any model the first one.
    """
    systems = list(systems)
    return next(key for key in (RULE_BASED, *models_of(systems), *systems) if key in systems)


def group_id(system: str) -> str:
    """Identifier of all that belongs to a system in the SVG files."""
    return f"system:{system}"
