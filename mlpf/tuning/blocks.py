"""Search for CLUE's parameters (arXiv:2001.09761) that give the truest blocks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlpf.classical.clue_blocks import ClueBlockParameters, clue_blocks
from mlpf.classical.elements import elements_of
from mlpf.events import Events
from mlpf.metrics.blocks import Truth, adjusted_rand_index, true_blocks
from mlpf.tuning.with_optuna import quiet_optuna

# A seed needs at least half a track (weight .1), at most four clusters on one spot; from far below a crystal (.0174) to several towers (.087)
RANGES = {f"{layer}_{name}": limits for name, limits in (("rho_c", (0.05, 4.0)), ("dc", (0.001, 0.5))) for layer in ("ecal", "hcal", "hf")}


def tune_clue(
    events: Sequence[Events], num_trials: int, seed: int = 0, truth: Truth = "candidates", on_trial: Callable[[], object] = lambda: None
) -> tuple[ClueBlockParameters, float]:
    """Thresholds and distances of the three layers with the highest mean adjusted Rand index, by Optuna's tree-structured Parzen estimator.

    Args:
        events: chunks with elements and what their truth is made of.
        num_trials: sets of parameters that are tried; the first is the default.
        seed: equal seeds give equal parameters.
        truth: what true blocks are made of.
        on_trial: called after each trial.

    Returns:
        the best parameters and their mean adjusted Rand index on these events.

    Raises:
        MissingDependencyError: Optuna is not installed.
    """
    prepared = [(elements_of(chunk), true_blocks(chunk, truth)) for chunk in events]

    def objective(trial: Any) -> float:
        parameters = ClueBlockParameters(**{name: trial.suggest_float(name, *limits, log=True) for name, limits in RANGES.items()})
        index = [adjusted_rand_index(elements.offsets, true, clue_blocks(elements, parameters)) for elements, true in prepared]
        on_trial()
        return float(np.nanmean(np.concatenate(index)))

    with quiet_optuna() as optuna:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))
        study.enqueue_trial(ClueBlockParameters().model_dump(include=set(RANGES)))
        study.optimize(objective, n_trials=num_trials)
    return ClueBlockParameters(**study.best_params), study.best_value
