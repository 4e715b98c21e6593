"""Shards -> PyTorch Geometric graphs -> padded batches of events of similar size."""
