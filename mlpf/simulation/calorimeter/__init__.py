"""Preshower, ECAL, HCAL, HO and HF: showers, cells, clusters."""
