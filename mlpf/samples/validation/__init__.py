"""Whether the shards of a dataset are samples of one and the same distribution."""
