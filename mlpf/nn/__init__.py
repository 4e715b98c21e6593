"""Models, one block per file; `mlpf.nn.model` assembles them from the ``model`` section of a parameter file."""
