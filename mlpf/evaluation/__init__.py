"""Models on datasets: candidates, metrics, plots and report in one folder."""

from mlpf.evaluation.predictor import Predictor, load_predictor
from mlpf.evaluation.run import Evaluation, evaluate

__all__ = ["Evaluation", "Predictor", "evaluate", "load_predictor"]
