"""Numbers with intervals as text, and what the difference of two of them is worth."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

Estimate = Mapping[str, Any]  # value, low, high, n; None where undefined
Better = Literal["high", "low", "one", "zero"] | None  # what a good value is
NO_ESTIMATE: Estimate = {"value": None, "low": None, "high": None, "n": 0}
SIGNIFICANT = 2.0  # standard deviations below which nothing is called a difference
_MANY = 10.0  # beyond so many standard deviations the tails of a bootstrap say nothing
_SMALLEST = 1e-3  # below, numbers are written with a power of ten


def has_value(estimate: Estimate | None) -> bool:
    """Whether there is a number."""
    return estimate is not None and estimate["value"] is not None


def has_interval(estimate: Estimate | None) -> bool:
    """Whether there is a number with an uncertainty."""
    return estimate is not None and None not in (estimate["value"], estimate["low"], estimate["high"])


@dataclass(frozen=True)
class Text:
    """A number with its interval as text: ``(value, up, down) * 10^power``, uncertainties at two digits; ``up`` is empty where there is no interval."""

    value: str
    up: str
    down: str
    power: int

    def html(self) -> Markup:
        """``0.912 ±0.004``, the interval in small print."""
        interval = f" <small>±{self.up}</small>" if self.up == self.down else f" <small class='two'><span>+{self.up}</span> <span>−{self.down}</span></small>"
        number = self.value + (interval if self.up else "")
        return Markup(f"{number}&thinsp;×&thinsp;10<sup>{self.power}</sup>".replace("<sup>-", "<sup>−") if self.power else number)

    def latex(self) -> str:
        """The same for a table of a paper."""
        interval = rf" \pm {self.up}" if self.up == self.down else f"^{{+{self.up}}}_{{-{self.down}}}"
        number = self.value.replace("−", "-") + (interval if self.up else "")
        return rf"$({number}) \times 10^{{{self.power}}}$" if self.power else f"${number}$"


def text(estimate: Estimate, signed: bool = False) -> Text | None:
    """A number as text; None where it is undefined. ``signed`` writes a plus before those above zero."""
    if not has_value(estimate):
        return None
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    up, down = (high - value, value - low) if has_interval(estimate) else (0.0, 0.0)
    largest, error = max(abs(value), up, down), max(up, down)
    power = math.floor(math.log10(largest)) if 0 < largest < _SMALLEST else 0
    value, up, down, error = (number / 10.0**power for number in (value, up, down, error))
    digits = _decimals(error) if error > 0 else 3 if has_interval(estimate) else max(2 - math.floor(math.log10(abs(value))), 0) if value else 0
    written = f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    if not has_interval(estimate):
        return Text(written, "", "", power)
    return Text(written, f"{max(up, 0):.{digits}f}", f"{max(down, 0):.{digits}f}", power)


def _decimals(error: float) -> int:
    return max(1 - math.floor(math.log10(error)), 0)


def merit(value: float, better: Better) -> float:
    """A number that is the larger the better the value is; without an idea of good: the value."""
    return {"low": -value, "one": -abs(value - 1), "zero": -abs(value)}.get(better or "", value)


@dataclass(frozen=True)
class Difference:
    """Difference of two numbers.

    Attributes:
        difference: value - reference, with an interval if both have one.
        significance: improvement in standard deviations, negative where it is worse; None without intervals.
    """

    difference: Estimate
    significance: float | None

    @property
    def is_significant(self) -> bool:
        """Whether it is a difference at all."""
        return self.significance is not None and abs(self.significance) >= SIGNIFICANT


def difference(estimate: Estimate | None, reference: Estimate | None, better: Better) -> Difference | None:
    """How two numbers differ, as if they were independent; None unless both are defined.

    The uncertainty is the quadratic sum of those halves of the two intervals that face each other. Systems see the same events, so their errors go mostly the
    same way and the true uncertainty of the difference is smaller.
    """
    if estimate is None or reference is None or not has_value(estimate) or not has_value(reference):
        return None
    distance = estimate["value"] - reference["value"]
    if not (has_interval(estimate) and has_interval(reference)):
        return Difference({**NO_ESTIMATE, "value": distance}, None)
    above, below = (estimate, reference) if distance >= 0 else (reference, estimate)
    error = math.hypot(above["value"] - above["low"], below["high"] - below["value"])
    improvement = merit(estimate["value"], better) - merit(reference["value"], better)
    significance = improvement / error if error > 0 else math.copysign(math.inf, improvement) if improvement else 0.0
    return Difference({"value": distance, "low": distance - error, "high": distance + error, "n": 0}, significance)


def sigmas(significance: float) -> str:
    """``3.0 σ``."""
    return f"> {_MANY:.0f} σ" if abs(significance) > _MANY else f"{abs(significance):.1f} σ"


def best(estimates: Mapping[str, Estimate | None], better: Better) -> tuple[str, bool] | None:
    """Whose value is the best, and whether it is so beyond the uncertainties: at least `SIGNIFICANT` from every other; None where fewer than two have one."""
    known = {key: estimate for key, estimate in estimates.items() if estimate is not None and has_interval(estimate)}
    if better is None or len(known) < 2:
        return None
    first = max(known, key=lambda key: merit(known[key]["value"], better))
    return first, all(_ahead(known[first], other, better) for key, other in known.items() if key != first)


def _ahead(estimate: Estimate, other: Estimate, better: Better) -> bool:
    found = difference(estimate, other, better)
    return found is not None and found.significance is not None and found.significance >= SIGNIFICANT


def tally(differences: Iterable[Difference | None]) -> tuple[int, int, int]:
    """How many are significantly better, significantly worse, and neither."""
    known = [d for d in differences if d is not None and d.significance is not None]
    up = sum(d.is_significant and (d.significance or 0) > 0 for d in known)
    down = sum(d.is_significant and (d.significance or 0) < 0 for d in known)
    return up, down, len(known) - up - down
