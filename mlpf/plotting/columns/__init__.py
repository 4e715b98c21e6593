"""Distributions of every column of any number of samples: binned without asking, drawn over each other, compared with the first."""
