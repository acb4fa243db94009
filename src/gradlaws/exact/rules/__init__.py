"""How each torch operation acts on values of a prime field. Importing the package registers every rule."""

from gradlaws.exact.rules import activation, arithmetic, einsum, normalise, pooling, products, structure

__all__ = ["activation", "arithmetic", "einsum", "normalise", "pooling", "products", "structure"]
