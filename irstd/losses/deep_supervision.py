"""Deep supervision: one elementary loss on every output of a network.

DNANet and MPCNet take the mean over all outputs; SGMP-UNet's code knows the prediction's loss plus
0.5 of each further output's, and trains on the prediction alone.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from irstd.types import Outputs

ElementaryLoss = Callable[[Tensor, Tensor], Tensor]
"""Takes logits and mask, both (N, 1, H, W), and gives a number."""


class Criterion(Protocol):
    """The loss of a training."""

    def __call__(self, outputs: Outputs, mask: Tensor) -> Tensor:
        """Loss of a batch; `mask` is (N, 1, H, W) in [0, 1]."""

    def of_map(self, logits: Tensor, mask: Tensor) -> Tensor:
        """The part that a prediction alone has, as in validation on whole images."""


class DeepSupervision:
    """An elementary loss on all outputs.

    Args:
        loss: the elementary loss.
        side_weight: weight of each side output beside the prediction's 1, 0 leaves them out; None:
            the mean over the prediction and all side outputs.

    Raises:
        ValueError: a negative weight.
    """

    def __init__(self, loss: ElementaryLoss, side_weight: float | None = None) -> None:
        if side_weight is not None and side_weight < 0:
            raise ValueError(
                f"expected a side_weight of at least 0, got {side_weight}; "
                "see train.recipes.<network>.loss"
            )
        self.of_map = loss
        self.side_weight = side_weight

    def __call__(self, outputs: Outputs, mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """Loss of a batch."""
        own = self.of_map(outputs.logits, mask)
        if self.side_weight == 0 or not outputs.side:
            return own
        further = torch.stack([self.of_map(side, mask) for side in outputs.side]).sum()
        if self.side_weight is None:
            return (own + further) / (1 + len(outputs.side))
        return own + self.side_weight * further


def needed(output: Tensor | None, name: str, network: str) -> Tensor:
    """An output without which a loss has no meaning.

    Raises:
        ValueError: the network gave none.
    """
    if output is None:
        raise ValueError(
            f"expected a network with the output {name!r}, as {network} has; "
            "choose another train.recipes.<network>.loss"
        )
    return output
