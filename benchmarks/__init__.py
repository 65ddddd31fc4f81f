"""Measure single convolutions, training steps and adaptive layers against other implementations."""
