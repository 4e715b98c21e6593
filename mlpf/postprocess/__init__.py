"""From ntuple to dataset: one target particle and one standard candidate per element."""

from mlpf.postprocess.files import postprocess_files
from mlpf.postprocess.policy import CaloParticlePolicy, PostprocessConfig, TrackingParticlePolicy
from mlpf.postprocess.rows import postprocess_events

__all__ = ["CaloParticlePolicy", "PostprocessConfig", "TrackingParticlePolicy", "postprocess_events", "postprocess_files"]
