"""Which events a model sees: splits, mixtures, checks."""
