"""Slow, obvious twins. They share no arithmetic with the library, only the layout of the parameters."""
