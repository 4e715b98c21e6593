"""Trained model -> ONNX for a named consumer, its contract checked before the file gets its name.

`mlpf.export.contract` checks any ONNX file and needs no torch; `mlpf.export.exporter` writes one and does.
"""
