"""Samples decoded once: written by `prepare`, read by training."""
