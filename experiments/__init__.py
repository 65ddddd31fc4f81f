"""Experiments: one folder per claim, with its program, its result and its notes; run by ``python -m experiments``."""
