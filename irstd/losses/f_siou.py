"""F-SIoU, the focal Soft-IoU loss of ISPANet (W. Wang et al., IEEE JSTARS 2024, eqs. 8 and 22).

    F-SIoU = mean over images of alpha * L^gamma

with the Soft-IoU L of an image (`irstd.losses.soft_iou`); alpha = gamma = 1 is Soft-IoU itself. The
paper leaves the order of power and mean open; here the power is taken per image, so the loss
doesn't depend on how images are batched.
"""

from jaxtyping import Float
from torch import Tensor

from irstd.losses.soft_iou import iou_loss


class FSIoU:
    """alpha * L^gamma, averaged over the images of the batch.

    Args:
        alpha: factor, positive.
        gamma: exponent, positive. Below 1 the power has an infinite slope at L = 0; an image
            whose L is below 1e-12 then has no gradient.
        smoothing: s, positive.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(self, alpha: float = 2.0, gamma: float = 2.0, smoothing: float = 1.0) -> None:
        if min(alpha, gamma, smoothing) <= 0:
            raise ValueError(
                "expected alpha, gamma and smoothing above 0, "
                f"got {alpha}, {gamma} and {smoothing}; see train.recipes.<network>.loss"
            )
        self.alpha, self.gamma, self.smoothing = alpha, gamma, smoothing

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1."""
        loss = iou_loss(logits, mask, self.smoothing).clamp_min(1e-12)
        return (self.alpha * loss**self.gamma).mean()
