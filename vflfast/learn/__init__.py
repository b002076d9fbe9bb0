"""Plaintext mathematics: formulas, solvers, stop rule, scoring, metrics."""
