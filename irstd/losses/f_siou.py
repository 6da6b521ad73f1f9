"""F-SIoU, the focal Soft-IoU loss of ISPANet (W. Wang et al., IEEE JSTARS 2024, eqs. 8 and 22).

    F-SIoU = alpha * L^gamma

with the Soft-IoU L (`irstd.losses.soft_iou`); alpha = gamma = 1 is Soft-IoU itself. The paper
leaves the order of power and mean open. By default the power is taken of the L of each `image`,
then the mean, so the loss doesn't depend on how images are batched; `mean_then_power` is the power
of the mean of these L, `batch` that of one L over all pixels of the batch.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from irstd.losses.soft_iou import Over, iou_loss

Reduction = Literal["image", "mean_then_power", "batch"]


class FSIoU:
    """alpha * L^gamma of a batch.

    Args:
        alpha: factor, positive.
        gamma: exponent, positive. Below 1 the power has an infinite slope at L = 0; an L below
            1e-12 then has no gradient.
        smoothing: s, positive.
        reduction: what the power is taken of, see above.

    Raises:
        ValueError: a number is not positive, or another reduction.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        gamma: float = 2.0,
        smoothing: float = 1.0,
        reduction: Reduction = "image",
    ) -> None:
        if reduction not in ("image", "mean_then_power", "batch"):
            raise ValueError(
                "expected a reduction image, mean_then_power or batch, "
                f"got {reduction!r}; see train.recipes.<network>.loss"
            )
        if min(alpha, gamma, smoothing) <= 0:
            raise ValueError(
                "expected alpha, gamma and smoothing above 0, "
                f"got {alpha}, {gamma} and {smoothing}; see train.recipes.<network>.loss"
            )
        self.alpha, self.gamma, self.smoothing = alpha, gamma, smoothing
        self.reduction: Reduction = reduction

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1."""
        over: Over = "batch" if self.reduction == "batch" else "image"
        loss = iou_loss(logits, mask, self.smoothing, over)
        if self.reduction == "mean_then_power":
            loss = loss.mean()
        return (self.alpha * loss.clamp_min(1e-12) ** self.gamma).mean()
