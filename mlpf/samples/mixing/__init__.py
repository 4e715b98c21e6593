"""Balanced, reproducible mixtures of datasets: see `mlpf.samples.mixing.plan` for the order of events, `mlpf.samples.mixing.run` for the whole."""
