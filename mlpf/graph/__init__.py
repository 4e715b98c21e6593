"""Graphs of elements in the (eta, phi) plane, phi periodic: all within a radius, or the k nearest."""
