"""Arithmetic over prime fields. Knows nothing of networks."""
