"""What collides: Pythia 8, particle guns, generator filters and pileup."""
