"""Machine-learned particle flow: ntuples of PF elements -> graph datasets -> graph neural network -> ONNX -> candidates."""

__version__ = "0.1.0"
