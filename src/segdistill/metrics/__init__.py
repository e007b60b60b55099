"""Scores. Import from the modules: ``confusion`` needs torch, ``gap`` does not, and reports start without it."""
