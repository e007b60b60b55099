"""Recipes: one YAML file for every row of a published table, and those of the demo and of ``camvid_cpu``."""
