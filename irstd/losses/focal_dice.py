"""Focal loss plus Dice loss, as SGMP-UNet is trained (W. Zhang et al., TechRxiv 2025).

The focal loss with the mean over the pixels (`irstd.losses.focal`) and the Dice loss
(`irstd.losses.dice`), each with weight 1 and summed over the images, not averaged.
"""

from jaxtyping import Float
from torch import Tensor

from irstd.losses.dice import Dice
from irstd.losses.focal import Focal


class FocalDice:
    """The published sum.

    Args:
        target_weight: a of the focal loss on targets, between 0 and 1; 1 - a elsewhere.

    Raises:
        ValueError: the weight is not between 0 and 1.
    """

    def __init__(self, target_weight: float = 0.25) -> None:
        self.focal = Focal(target_weight, "mean")
        self.dice = Dice("sum")

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1.

        Raises:
            ValueError: logits and mask differ in shape.
        """
        return self.focal(logits, mask) + self.dice(logits, mask)
