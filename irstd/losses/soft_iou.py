"""Soft-IoU (ISPANet, eq. 8), over each image or over the whole batch.

    L = 1 - (I + s) / (A + T - I + s)

with p = sigmoid(logits), I = sum p t, A = sum p, T = sum t and the smoothing s. Sums run over the
pixels of one image, and L is averaged (AGPCNet, RDIAN, PQGNet), or over the pixels of the batch
(ACM, DNANet, MPCNet).
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from irstd.losses.inputs import full_precision

Over = Literal["image", "batch"]


def iou_loss(
    logits: Float[Tensor, "n 1 h w"],
    mask: Float[Tensor, "n 1 h w"],
    smoothing: float,
    over: Over = "image",
) -> Float[Tensor, " k"]:
    """L of each image (N), or of the batch (1); in float32 also under mixed precision.

    Raises:
        ValueError: logits and mask differ in shape.
    """
    logits, mask = full_precision(logits, mask)
    return ratio_loss(logits.sigmoid(), mask, smoothing, over)


def ratio_loss(probability: Tensor, mask: Tensor, smoothing: float, over: Over) -> Tensor:
    """The same, from probabilities."""
    rows = (len(mask), -1) if over == "image" else (1, -1)
    probability, mask = probability.reshape(rows), mask.reshape(rows)
    overlap = (probability * mask).sum(1)
    total = probability.sum(1) + mask.sum(1)
    return (total - 2 * overlap) / (total - overlap + smoothing)


class SoftIoU:
    """Mean of L.

    Args:
        over: pixels that are summed: those of an `image` or of the whole `batch`.
        smoothing: s, positive.

    Raises:
        ValueError: an argument outside these values.
    """

    def __init__(self, over: Over = "image", smoothing: float = 1.0) -> None:
        if over not in ("image", "batch") or smoothing <= 0:
            raise ValueError(
                "expected over image or batch and a smoothing above 0, "
                f"got {over!r} and {smoothing}; see train.recipes.<network>.loss"
            )
        self.over: Over = over
        self.smoothing = smoothing

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is in [0, 1]."""
        return iou_loss(logits, mask, self.smoothing, self.over).mean()
