"""What every loss does with its inputs first."""

import torch
from torch import Tensor


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
