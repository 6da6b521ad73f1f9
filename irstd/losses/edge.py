"""Soft-IoU with an edge term: `CombinedLoss` of MPCNet's code, which it is not trained with.

    L = 0.5 Soft-IoU of the batch (smoothing 1) + cross-entropy of E(p) and E(t)
    E(u) = sigmoid(sqrt(v^2 + h^2 + 1e-6))

v and h are the differences of the two neighbours in a column and in a row, 0 beyond the border. E
lies between 0.5 and 0.81, so the second part is never below the entropy of E(t), about 0.69.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from irstd.losses.bce import bce
from irstd.losses.inputs import full_precision
from irstd.losses.soft_iou import ratio_loss


def edge(logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """L.

    Args:
        logits: any finite values.
        mask: in [0, 1].

    Raises:
        ValueError: logits and mask differ in shape.
    """
    logits, mask = full_precision(logits, mask)
    probability = logits.sigmoid()
    overlap = ratio_loss(probability, mask, 1.0, "batch").mean()
    return 0.5 * overlap + bce(_steepness(probability), _steepness(mask).sigmoid())


def _steepness(plane: Tensor) -> Tensor:
    """The logits of E, of the shape of the plane."""
    framed = F.pad(plane, (1, 1, 1, 1))
    vertical = framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]
    horizontal = framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]
    return torch.sqrt(vertical**2 + horizontal**2 + 1e-6)
