"""Measure time, memory and exported models."""
