"""Dice loss (F. Milletari et al., 3DV 2016) of soft masks, and the form that MSHNet's code has.

With p = sigmoid(logits), I = sum p t, A = sum p, T = sum t over the pixels of an image:

    L = 1 - (2 I + 1) / (A + T + 1)         SGMP, summed over the images
    L = 1 - (2 I + 1) / (A + T + I + 1)     `Dice` of MSHNet and of SGMP's loss.py, averaged

The second has I once too often: a perfect prediction costs nearly 1/3. Nothing published is
trained with it.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from irstd.losses.inputs import full_precision

Images = Literal["mean", "sum"]


class Dice:
    """L.

    Args:
        images: how the images of a batch are reduced, `mean` or `sum`.
        extra_overlap: the second form.

    Raises:
        ValueError: another reduction.
    """

    def __init__(self, images: Images = "mean", extra_overlap: bool = False) -> None:
        if images not in ("mean", "sum"):
            raise ValueError(
                f"expected images mean or sum, got {images!r}; see train.recipes.<network>.loss"
            )
        self.images: Images = images
        self.extra_overlap = extra_overlap

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is in [0, 1].

        Raises:
            ValueError: logits and mask differ in shape.
        """
        logits, mask = full_precision(logits, mask)
        probability, mask = logits.sigmoid().flatten(1), mask.flatten(1)
        overlap = (probability * mask).sum(1)
        total = probability.sum(1) + mask.sum(1)
        if self.extra_overlap:
            total = total + overlap
        loss = 1 - (2 * overlap + 1) / (total + 1)
        return loss.mean() if self.images == "mean" else loss.sum()
