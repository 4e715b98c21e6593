"""What a model is trained to minimise: named terms, weighted in the ``loss`` section of a parameter file."""
