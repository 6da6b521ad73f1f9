"""Focal loss (T.-Y. Lin et al., ICCV 2017, eq. 5, gamma 2), reduced as two codes of the field do.

With p = sigmoid(logits), p_t = p on targets and 1 - p elsewhere, B the cross-entropy of a pixel:

    L = sum over images of the mean, or sum, over pixels of a (1 - p_t)^2 B

SGMP takes the mean, a = 0.25 on targets and 0.75 elsewhere; MTU-Net's `FocalLoss` (not what it is
trained with) the sum, with 0.75 and 0.25. Both grow with the batch.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from irstd.losses.inputs import check_target_weight, full_precision, target_weights

Pixels = Literal["mean", "sum"]


class Focal:
    """L.

    Args:
        target_weight: a on targets, between 0 and 1; 1 - a elsewhere.
        pixels: how the pixels of an image are reduced, `mean` or `sum`.

    Raises:
        ValueError: an argument outside these values.
    """

    def __init__(self, target_weight: float = 0.25, pixels: Pixels = "mean") -> None:
        check_target_weight(target_weight)
        if pixels not in ("mean", "sum"):
            raise ValueError(
                f"expected pixels mean or sum, got {pixels!r}; see train.recipes.<network>.loss"
            )
        self.target_weight = target_weight
        self.pixels: Pixels = pixels

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1.

        Raises:
            ValueError: logits and mask differ in shape.
        """
        logits, mask = full_precision(logits, mask)
        entropy = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
        probability = logits.sigmoid()
        wrong = probability * (1 - mask) + (1 - probability) * mask  # 1 - p_t
        loss = (target_weights(mask, self.target_weight) * wrong**2 * entropy).flatten(1)
        return (loss.mean(1) if self.pixels == "mean" else loss.sum(1)).sum()
