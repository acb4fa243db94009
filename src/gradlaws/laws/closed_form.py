"""How many laws of a fully connected network are independent, where there are too many gradients to rank."""

from __future__ import annotations

from itertools import pairwise

from gradlaws.models.network import Network


def closed_rank(network: Network) -> int:
    """Rank of the gradients of all hidden-layer laws at a generic point, proved for every width.

    A combination ``sum_l tr(S_l H_l)``, with ``H_l = W_l W_l^T - W_{l+1}^T W_{l+1}`` and S_l symmetric, has gradient
    zero when ``S_{l+1} W_{l+1} = W_{l+1} S_l`` for all l, with S = 0 at both ends. Diagonal S and nonzero weights then
    give S = 0 layer by layer: all laws of a network with activations are independent. For a linear network S_l lives on
    ``ker W_{l+1}`` and ``ker W_l^T``, which meet in dimension ``s_l = max(0, n_l - n_{l-1} - n_{l+1})``. A hidden bias
    is one more input.
    """
    if network.activation != "linear":
        return sum(network.widths[1:-1])
    total = 0
    for (before, width), (_, after) in pairwise(pairwise(network.widths)):
        spare = max(0, width - before - network.bias - after)
        total += width * (width + 1) // 2 - spare * (spare + 1) // 2
    return total
