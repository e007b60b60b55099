"""Measurements of the package, one file a subject: ``python -m benchmarks.<name>``."""
