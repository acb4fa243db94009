"""The QR step as two published repositories have it: columns of Q are multiplied by the sign of R's diagonal.

The sign of zero is zero, so a zero bias, which makes a zero on the diagonal, wipes out a column of Q and a row of R.
"""

from __future__ import annotations

import torch
from torch import Tensor


def published_frame(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Q and R with that sign."""
    q, r = torch.linalg.qr(columns, mode="complete")
    k = min(columns.shape)
    sign = torch.sign(r.diagonal())
    q = q.clone()
    q[:, :k] *= sign
    return q, sign.unsqueeze(1) * r[:k]
