"""Binary cross-entropy (ISPANet, eq. 6), from logits and as two published codes compute it.

    L = mean over all pixels of -(t log p + (1 - t) log(1 - p)),  p = sigmoid(x)

`bce` uses max(x, 0) - x t + log(1 + exp(-|x|)), exact for every finite logit x (PQGNet, PANPEIWEN).
`bce_of_probabilities` rounds p first and cuts each logarithm off at -100 (SCTransNet, MPCNet): the
two agree until p rounds to 1, above x = 17 in float32 and 37 in float64; there a background pixel
costs 100 instead of x, and has no gradient. For comparison with those codes, not for training.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from irstd.losses.inputs import full_precision


def bce(logits: Float[Tensor, "*shape"], mask: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean over all pixels.

    Args:
        logits: any shape.
        mask: the same shape, in [0, 1].

    Raises:
        ValueError: logits and mask differ in shape.
    """
    return F.binary_cross_entropy_with_logits(*full_precision(logits, mask))


def bce_of_probabilities(
    logits: Float[Tensor, "*shape"], mask: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """The same from rounded probabilities, the published defect included.

    Args:
        logits: any shape.
        mask: the same shape, in [0, 1].

    Raises:
        ValueError: logits and mask differ in shape.
    """
    logits, mask = full_precision(logits, mask)
    return probability_entropy(logits.sigmoid(), mask).mean()


def probability_entropy(
    probability: Float[Tensor, "*shape"], mask: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Cross-entropy of each pixel, logarithms cut off at -100; both of one dtype."""
    with torch.autocast(probability.device.type, enabled=False):  # it refuses probabilities
        return F.binary_cross_entropy(probability, mask, reduction="none")
