"""Measurements: single convolutions against other libraries, whole training steps against the authors' algorithm."""
