"""The classical algorithms in PyTorch, for any device; the results are those of the modules of the same name in `mlpf.classical`."""
