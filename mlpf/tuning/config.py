"""The ``tune`` section: what is searched, by what it is judged, how long."""

from typing import Annotated, Any, Literal

import pydantic

from mlpf.config import Config

Value = bool | int | float | str | None
_Number = Annotated[int | float, pydantic.Field(allow_inf_nan=False)]
_CHANGES_EVENTS = ("training.dataset", "training.split")
_CHANGES_TOTAL = ("loss.", "training.element_weights")


class Dimension(Config):
    """Values that one key may take: between two limits, or one of a list."""

    low: _Number | None = None
    """Least value; whole numbers if both limits are written without a point."""
    high: _Number | None = None
    """Largest value, included."""
    log: bool = False
    """Small values are as likely per factor as large ones."""
    step: _Number | None = pydantic.Field(default=None, gt=0)
    """Distance between values, counted from the least; not together with log."""
    choices: list[Value] | None = pydantic.Field(default=None, min_length=1)
    """Values in no order, instead of limits."""

    @pydantic.field_validator("choices", mode="before")
    @classmethod
    def _reads_exponents(cls, choices: Any) -> Any:
        """PyYAML reads 1e-4 as a text."""
        return [_number(choice) for choice in choices] if isinstance(choices, list) else choices

    @pydantic.model_validator(mode="after")
    def _is_a_range_or_a_list(self) -> "Dimension":
        if self.choices is not None:
            if self.model_fields_set != {"choices"}:
                raise ValueError("choices stand alone, without low, high, log or step")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        if self.is_whole and isinstance(self.step, float):
            raise ValueError(f"step ({self.step}) must be whole as low and high are")
        return self

    @property
    def is_whole(self) -> bool:
        """The limits are whole numbers, and so are the values between."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> list[Value]:
        """Values that are valid only if all are."""
        return list(self.choices) if self.choices is not None else [self.low, self.high]

    def holds(self, value: Value) -> bool:
        """The value is one that the dimension may take."""
        if self.choices is not None:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        assert self.low is not None
        assert self.high is not None
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            return False
        on_grid = self.step is None or abs((value - self.low) / self.step - round((value - self.low) / self.step)) < 1e-9
        return self.low <= value <= self.high and on_grid


def _number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class TuneConfig(Config):
    """How parameters are searched: each trial is a training, with values of its own for some keys."""

    search: dict[str, Dimension] = pydantic.Field(default={}, min_length=1, validate_default=True)
    """What may vary: key with section, for example training.learning_rate or loss.pid.weight, and its values."""
    metric: str = "validation/total"
    """What judges a trial: any number that the training logs at a validation, see metrics.csv of a run; its best value counts."""
    direction: Literal["minimize", "maximize"] = "minimize"
    """Whether low or high values of the metric are good."""
    trials: int = pydantic.Field(default=20, ge=1)
    """Trials that are completed, pruned or failed when the study ends, those of earlier and other commands on it included."""
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31)
    """Seed of the search; that of the trainings is training.seed, the same for all."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Which trials end early: those worse than the median of the earlier ones at the same validation, the losers of Hyperband (arXiv:1603.06560), or none."""
    pruner_startup: int = pydantic.Field(default=5, ge=1)
    """Trials that must be complete before the median prunes."""
    min_validations: int = pydantic.Field(default=2, ge=1)
    """Validations that every trial gets."""
    max_failed: int = pydantic.Field(default=5, ge=1)
    """Failed trials (loss not finite, memory exceeded) at which the study stops with an error."""
    timeout_minutes: float | None = pydantic.Field(default=None, gt=0.0)
    """Minutes after which this command starts no trial; one that runs is finished."""

    @pydantic.model_validator(mode="after")
    def _compares_like_with_like(self) -> "TuneConfig":
        for key in self.search:
            if key.startswith(_CHANGES_EVENTS):
                raise ValueError(f"{key} changes the events of the validation, so trials could not be compared")
            if key.startswith(_CHANGES_TOTAL) and self.metric == "validation/total":
                raise ValueError(f"{key} changes what validation/total means, so trials could not be compared by it; choose another metric")
        return self
