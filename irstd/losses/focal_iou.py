"""Focal-IoU, the loss of MTU-Net (T. Wu et al., IEEE TGRS 2023).

With q = 0.999 (p - 0.5) + 0.5, B = -(t log q + (1 - t) log(1 - q)) of each pixel, and U the
Soft-IoU ratio of q over the batch (smoothing 1):

    L = sum over all pixels of a (1 - U) ((1 - exp(-B))^2 B)^((U + 1) / 2)

a = 0.75 on targets, 0.25 elsewhere. A sum, not a mean: it grows with batch and image. The shrinking
of p keeps B and the base of the power away from 0, so value and gradient stay finite.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from irstd.losses.bce import probability_entropy
from irstd.losses.inputs import check_target_weight, full_precision, target_weights
from irstd.losses.soft_iou import ratio_loss

SHRINK = 0.999
SMOOTHING = 1.0


class FocalIoU:
    """The published loss.

    Args:
        target_weight: a on targets, between 0 and 1; 1 - a elsewhere.

    Raises:
        ValueError: the weight is not between 0 and 1.
    """

    def __init__(self, target_weight: float = 0.75) -> None:
        check_target_weight(target_weight)
        self.target_weight = target_weight

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1.

        Raises:
            ValueError: logits and mask differ in shape.
        """
        logits, mask = full_precision(logits, mask)
        shrunk = SHRINK * (logits.sigmoid() - 0.5) + 0.5
        entropy = probability_entropy(shrunk, mask)
        missing = ratio_loss(shrunk, mask, SMOOTHING, "batch")  # 1 - U
        focal = (1 - torch.exp(-entropy)) ** 2 * entropy
        weight = target_weights(mask, self.target_weight)
        return (weight * missing * focal ** (1 - missing / 2)).sum()
