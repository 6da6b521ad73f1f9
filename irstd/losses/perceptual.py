"""The loss of PQGNet (P. Liu et al., IEEE TGRS 2026): masks, and a coarse grid of the image.

    L_map(x)  = cross-entropy + Soft-IoU of each image (smoothing 1)
    L_mask    = (mean of L_map over all outputs + L_map of the prediction) / 2
    L_grid    = cross-entropy + 1 - sum(sigmoid(G) Y) / sum(Y), sums over the batch
    L         = L_mask + 0.7 L_grid

G are the logits of a grid of cells, Y = 1 where a cell holds any target pixel. A batch without
target has sum(Y) = 0, for which the published ratio is 0/0; here it is 0, so the cross-entropy is
left beside the constant 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from irstd.losses.bce import bce
from irstd.losses.deep_supervision import Criterion, needed
from irstd.losses.inputs import coarse_mask, full_precision
from irstd.losses.soft_iou import SoftIoU
from irstd.types import Outputs


def patch_aware(
    grid: Float[Tensor, "n 1 r c"], mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, ""]:
    """L_grid.

    Args:
        grid: one logit per cell; the cells divide the mask evenly.
        mask: in [0, 1].

    Raises:
        ValueError: the mask is not a whole number of cells high and wide.
    """
    rows, columns = grid.shape[-2:]
    holds = (coarse_mask(mask, (rows, columns)) > 0).to(mask.dtype)
    logits, holds = full_precision(grid, holds)
    found = (logits.sigmoid() * holds).sum() / holds.sum().clamp_min(1)
    return bce(logits, holds) + 1 - found


class PerceptualLoss(Criterion):
    """L.

    Args:
        grid_weight: factor of L_grid, not negative.

    Raises:
        ValueError: the weight is negative.
    """

    def __init__(self, grid_weight: float = 0.7) -> None:
        if grid_weight < 0:
            raise ValueError(f"expected a grid_weight of at least 0, got {grid_weight}")
        self.grid_weight = grid_weight
        self._soft_iou = SoftIoU("image", smoothing=1.0)

    def __call__(self, outputs: Outputs, mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is in [0, 1].

        Raises:
            ValueError: the network gave no grid.
        """
        grid = needed(outputs.grid, "grid", "pqgnet")
        return self.masks(outputs, mask) + self.grid_weight * patch_aware(grid, mask)

    def masks(self, outputs: Outputs, mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """L_mask."""
        own = self.of_map(outputs.logits, mask)
        maps = [own, *(self.of_map(side, mask) for side in outputs.side)]
        return (torch.stack(maps).mean() + own) / 2

    def of_map(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """L_map."""
        return bce(logits, mask) + self._soft_iou(logits, mask)
