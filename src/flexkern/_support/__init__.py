"""Helpers that know nothing about kernels: tracing, axes, precision, gradients, files and error messages."""
