"""Focal loss plus Dice loss, as SGMP-UNet is trained (W. Zhang et al., TechRxiv 2025).

With p = sigmoid(logits), p_t = p on targets and 1 - p elsewhere, B the cross-entropy of a pixel:

    focal = sum over images of the mean over pixels of a (1 - p_t)^2 B
    dice  = sum over images of 1 - (2 sum p t + 1) / (sum p + sum t + 1)

a = 0.25 on targets, 0.75 elsewhere. Both are summed over the batch, not averaged.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from irstd.losses.inputs import full_precision


class FocalDice:
    """The published sum, each part with weight 1.

    Args:
        target_weight: a on targets, between 0 and 1; 1 - a elsewhere.

    Raises:
        ValueError: the weight is not between 0 and 1.
    """

    def __init__(self, target_weight: float = 0.25) -> None:
        if not 0 < target_weight < 1:
            raise ValueError(f"expected a target_weight between 0 and 1, got {target_weight}")
        self.target_weight = target_weight

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1."""
        return self.focal(logits, mask) + dice(logits, mask)

    def focal(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """The first part.

        Raises:
            ValueError: logits and mask differ in shape.
        """
        logits, mask = full_precision(logits, mask)
        entropy = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
        probability = logits.sigmoid()
        wrong = probability * (1 - mask) + (1 - probability) * mask  # 1 - p_t
        weight = self.target_weight * mask + (1 - self.target_weight) * (1 - mask)
        return (weight * wrong**2 * entropy).flatten(1).mean(1).sum()


def dice(logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """The second part.

    Raises:
        ValueError: logits and mask differ in shape.
    """
    logits, mask = full_precision(logits, mask)
    probability, mask = logits.sigmoid().flatten(1), mask.flatten(1)
    overlap = (probability * mask).sum(1)
    return (1 - (2 * overlap + 1) / (probability.sum(1) + mask.sum(1) + 1)).sum()
