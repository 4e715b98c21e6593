"""Classical reconstruction: PF links and blocks, rule-based particle flow; the baseline that a network is measured against."""
