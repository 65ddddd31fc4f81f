"""Convolution by spectra: transforms, products per frequency, and tiles of long signals."""
