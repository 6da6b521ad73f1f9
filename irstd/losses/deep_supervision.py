"""Losses of all outputs of a network, made of losses of one map.

Deep supervision as published: the mean over all outputs (DNANet, MPCNet, BasicIRSTD, and MSHNet
with masks pooled to the sizes of its outputs), their sum (SCTransNet), or the prediction plus 0.5
of each further output (SGMP-UNet's code, which trains on the prediction alone).
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from irstd.losses.inputs import coarse_mask
from irstd.types import Outputs

ElementaryLoss = Callable[[Tensor, Tensor], Tensor]
"""Takes logits and mask, both (N, 1, H, W), and gives a number."""


class Criterion(Protocol):
    """The loss of a training."""

    @abstractmethod
    def __call__(self, outputs: Outputs, mask: Tensor) -> Tensor:
        """Loss of a batch; `mask` is (N, 1, H, W) in [0, 1]."""

    @abstractmethod
    def of_map(self, logits: Tensor, mask: Tensor) -> Tensor:
        """The part that a prediction alone has, as in validation on whole images."""

    def start_epoch(self, epoch: int) -> None:
        """Told before each epoch of the training, counted from 0."""
        return  # most losses never change


class DeepSupervision(Criterion):
    """An elementary loss on all outputs.

    A side output that is smaller than the mask meets the largest value of each of its cells.

    Args:
        loss: the elementary loss.
        side_weight: weight of each side output beside the prediction's 1: 1 gives the sum, 0 leaves
            them out; None: the mean over the prediction and all side outputs.

    Raises:
        ValueError: a negative weight.
    """

    def __init__(self, loss: ElementaryLoss, side_weight: float | None = None) -> None:
        if side_weight is not None and side_weight < 0:
            raise ValueError(
                f"expected a side_weight of at least 0, got {side_weight}; "
                "see train.recipes.<network>.loss"
            )
        self.loss = loss
        self.side_weight = side_weight

    def __call__(self, outputs: Outputs, mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """Loss of a batch.

        Raises:
            ValueError: a side output whose cells don't divide the mask evenly.
        """
        own = self.loss(outputs.logits, mask)
        if self.side_weight == 0 or not outputs.side:
            return own
        further = torch.stack([self._of_side(side, mask) for side in outputs.side]).sum()
        if self.side_weight is None:
            return (own + further) / (1 + len(outputs.side))
        return own + self.side_weight * further

    def of_map(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """The elementary loss."""
        return self.loss(logits, mask)

    def _of_side(self, side: Tensor, mask: Tensor) -> Tensor:
        rows, columns = side.shape[-2:]
        return self.loss(side, coarse_mask(mask, (rows, columns)))


class WarmStart(Criterion):
    """One criterion in the first epochs, another afterwards (MSHNet).

    Args:
        first: until the end of `last_epoch`, and as long as no epoch has been started.
        then: afterwards.
        last_epoch: counted from 0, not negative.

    Raises:
        ValueError: a negative epoch.
    """

    def __init__(self, first: Criterion, then: Criterion, last_epoch: int) -> None:
        if last_epoch < 0:
            raise ValueError(
                f"expected a last_epoch of at least 0, got {last_epoch}; "
                "see train.recipes.<network>.loss"
            )
        self.first, self.then, self.last_epoch = first, then, last_epoch
        self._current = first

    def start_epoch(self, epoch: int) -> None:
        """Choose the criterion of this epoch."""
        self._current = self.first if epoch <= self.last_epoch else self.then

    def __call__(self, outputs: Outputs, mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """Loss of a batch."""
        return self._current(outputs, mask)

    def of_map(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """The current criterion's."""
        return self._current.of_map(logits, mask)


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
