"""Models on datasets: candidates, metrics, plots and report in one folder."""

from mlpf.evaluation.evaluate import Evaluation, evaluate
from mlpf.evaluation.predictor import Predictor, load_predictor

__all__ = ["Evaluation", "Predictor", "evaluate", "load_predictor"]
