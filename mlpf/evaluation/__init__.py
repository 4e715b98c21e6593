"""Models on datasets: candidates, metrics, figures and report in one folder; and such folders joined."""

from mlpf.evaluation.choice import Part
from mlpf.evaluation.merge import Merged, merge
from mlpf.evaluation.names import Inputs, parse_inputs
from mlpf.evaluation.predictor import Predictor, load_predictor
from mlpf.evaluation.run import Evaluation, evaluate

__all__ = ["Evaluation", "Inputs", "Merged", "Part", "Predictor", "evaluate", "load_predictor", "merge", "parse_inputs"]
