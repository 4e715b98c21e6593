"""Events of any layout with values of any bits, for whatever stores them."""

import numpy as np

from mlpf.events import Events, offsets_from_counts


def random_events(layout, counts, seed=0, columns=None):
    """Events of ``counts`` entries, of any bit patterns: values that repeat, are constant or all differ."""
    rng = np.random.default_rng(seed)
    values, offsets = {}, {}
    for collection in layout.collections.values():
        if not collection.scalar:
            offsets[collection.name] = offsets_from_counts(rng.permutation(counts))
        size = len(counts) if collection.scalar else offsets[collection.name][-1]
        for column in collection.columns:
            if columns is None or column.name in columns:
                dtype = layout.dtype(column.name)
                drawn = np.frombuffer(rng.bytes(size * dtype.itemsize), dtype)
                values[column.name] = np.where(rng.random(size) < rng.choice([0, 0.1, 0.7, 1]), drawn, rng.choice(drawn) if size else drawn)
    return Events(values, {name: edges for name, edges in offsets.items() if any(c in values for c in layout.names(name))}, len(counts), layout=layout)
