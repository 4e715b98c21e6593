"""ONNX model + ntuple -> candidates, event by event as CMSSW does; onnxruntime, never torch.

Three lines on NumPy arrays::

    from mlpf.producer import Producer
    producer = Producer("model.onnx")
    outputs = producer.run(features)  # (N, 55) raw features of one event -> mlpf.candidates.Outputs
"""

from mlpf.producer.files import ProduceReport, produce_files
from mlpf.producer.producer import ConsumerInput, Producer, consumer_input

__all__ = ["ConsumerInput", "ProduceReport", "Producer", "consumer_input", "produce_files"]
