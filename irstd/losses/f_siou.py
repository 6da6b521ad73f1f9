"""F-SIoU, the focal Soft-IoU loss of ISPANet (W. Wang et al., IEEE JSTARS 2024, eqs. 8 and 22).

    L = 1 - (I + s) / (A + T - I + s),   F-SIoU = mean over images of alpha * L^gamma

with p = sigmoid(logits), I = sum p t, A = sum p, T = sum t over the pixels of one image and the
smoothing s. alpha = gamma = 1 is Soft-IoU. The paper leaves the order of power and mean open; here
the power is taken per image, so the loss doesn't depend on how images are batched.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def soft_iou(
    logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"], smoothing: float
) -> Float[Tensor, " n"]:
    """L of each image, in float32 also under mixed precision.

    Raises:
        ValueError: logits and mask differ in shape.
    """
    if logits.shape != mask.shape:
        raise ValueError(
            "expected logits and mask of one shape, "
            f"got {tuple(logits.shape)} and {tuple(mask.shape)}"
        )
    with torch.autocast(logits.device.type, enabled=False):
        kind = logits.dtype if logits.dtype == torch.float64 else torch.float32
        probability, target = logits.to(kind).sigmoid().flatten(1), mask.to(kind).flatten(1)
        overlap = (probability * target).sum(1)
        total = probability.sum(1) + target.sum(1)
        return (total - 2 * overlap) / (total - overlap + smoothing)


class FSIoU(nn.Module):
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
        super().__init__()
        if min(alpha, gamma, smoothing) <= 0:
            raise ValueError(
                "expected alpha, gamma and smoothing above 0, "
                f"got {alpha}, {gamma} and {smoothing}; see train.recipes.<network>.loss"
            )
        self.alpha, self.gamma, self.smoothing = alpha, gamma, smoothing

    def forward(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1."""
        loss = soft_iou(logits, mask, self.smoothing).clamp_min(1e-12)
        return (self.alpha * loss**self.gamma).mean()
