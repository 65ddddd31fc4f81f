"""Small helpers that know nothing of kernels: tracing, axes, precision, files, error messages."""
