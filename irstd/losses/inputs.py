"""What losses do with their inputs first, and the checks they share."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def full_precision(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32, or in float64 where the logits are; then autocast keeps them so.

    Args:
        logits: any shape.
        mask: the same shape, in [0, 1].

    Raises:
        ValueError: logits and mask differ in shape.
    """
    if logits.shape != mask.shape:
        raise ValueError(
            "expected logits and mask of one shape, "
            f"got {tuple(logits.shape)} and {tuple(mask.shape)}"
        )
    kind = logits.dtype if logits.dtype == torch.float64 else torch.float32
    return logits.to(kind), mask.to(kind)


def coarse_mask(
    mask: Float[Tensor, "n 1 h w"], size: tuple[int, int]
) -> Float[Tensor, "n 1 rows cols"]:
    """The largest value of each cell; for sizes halved in turn, max pooling by 2 as often.

    Args:
        mask: in [0, 1].
        size: rows and columns of cells, which divide the mask evenly.

    Raises:
        ValueError: the mask is not a whole number of cells high and wide.
    """
    if tuple(mask.shape[-2:]) == size:
        return mask
    sides = list(zip(mask.shape[-2:], size, strict=True))
    if any(pixels == 0 or pixels % cells for pixels, cells in sides):
        raise ValueError(
            f"expected a mask that {size[0]} x {size[1]} cells divide evenly, "
            f"got {mask.shape[-2]} x {mask.shape[-1]}"
        )
    return F.max_pool2d(mask, [pixels // cells for pixels, cells in sides])


def check_target_weight(weight: float) -> None:
    """Refuse a weight of target pixels that leaves one side without any.

    Raises:
        ValueError: the weight is not between 0 and 1.
    """
    if not 0 < weight < 1:
        raise ValueError(
            f"expected a target_weight between 0 and 1, got {weight}; "
            "see train.recipes.<network>.loss"
        )


def target_weights(mask: Tensor, weight: float) -> Tensor:
    """`weight` on targets and 1 - `weight` elsewhere, of the shape of the mask."""
    return weight * mask + (1 - weight) * (1 - mask)
