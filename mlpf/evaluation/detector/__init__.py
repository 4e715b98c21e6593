"""How good the simulated detector is: what it should do, against what its ntuples show."""
