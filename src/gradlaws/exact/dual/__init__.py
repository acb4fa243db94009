"""Exact propagation of one derivative through a recorded program. Importing the package registers every rule."""

from gradlaws.exact.dual import entries, moves, normalise, products, sums

__all__ = ["entries", "moves", "normalise", "products", "sums"]
