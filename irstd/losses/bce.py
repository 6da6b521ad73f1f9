"""Binary cross-entropy (ISPANet, eq. 6), from logits.

L = mean over all pixels of max(x, 0) - x t + log(1 + exp(-|x|)) = -(t log p + (1 - t) log(1 - p))
with p = sigmoid(x): finite for every finite logit x.
"""

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
