"""What released code computes for a squared length under weight decay, without momentum (Kunin et al. 2021)."""

from math import exp


def published_scale(start, directions, eta, decay):
    """``e^{-2 lambda t} (x_0 + eta^2 sum_k e^{2 lambda t_k} |d_k|^2)``, d_k the whole direction, decay included."""
    driven = sum(eta**2 * exp(2 * decay * eta * k) * square for k, square in enumerate(directions))
    return exp(-2 * decay * eta * len(directions)) * (start + driven)
