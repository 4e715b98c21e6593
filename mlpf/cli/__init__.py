"""The command line, one module per command; the physics lives in the packages that the commands call."""
