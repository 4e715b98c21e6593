"""Search for parameters with Optuna: of trainings, and of CLUE's blocks."""
