"""Pictures: what the metrics computed, and single events; no torch, no display."""
