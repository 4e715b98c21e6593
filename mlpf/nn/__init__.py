"""Models and their blocks, one per file; `mlpf.nn.model` knows the models by name."""
