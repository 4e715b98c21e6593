"""How good are the candidates: numbers with uncertainties, no plots, no torch."""
