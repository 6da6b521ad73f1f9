"""SLS, the scale and location sensitive loss of MSHNet (Q. Liu et al., CVPR 2024).

With p = sigmoid(logits), I = sum p t, A = sum p, T = sum t and U = A + T - I over the pixels of an
image, D = ((A - T) / 2)^2, w = (min(A, T) + D) / (max(A, T) + D):

    L = 1 - mean over images of w I / U + the location term (`irstd.losses.location`)

In the first epochs w = 1 and the location term is left out. Nothing smooths the ratio: an image
without target costs 1 and has no gradient from it. Where U is 0 the published ratio is 0/0, here 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from irstd.losses.inputs import full_precision
from irstd.losses.location import location

SMALLEST = 1e-12
"""Of a denominator, in pixels; smaller ones stand below a 0 alone."""


class SLS:
    """L.

    Args:
        scale: weigh each image by w.
        location: add the location term.
    """

    def __init__(self, scale: bool = True, location: bool = True) -> None:
        self.scale, self.location = scale, location

    def __call__(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is in [0, 1].

        Raises:
            ValueError: logits and mask differ in shape.
        """
        loss = 1 - self._ratio(*full_precision(logits, mask)).mean()
        return loss + location(logits, mask) if self.location else loss

    def _ratio(self, logits: Tensor, mask: Tensor) -> Tensor:
        """I / U of each image, or w I / U; (N,)."""
        probability, mask = logits.sigmoid().flatten(1), mask.flatten(1)
        overlap = (probability * mask).sum(1)
        found, true = probability.sum(1), mask.sum(1)
        ratio = overlap / (found + true - overlap).clamp_min(SMALLEST)
        if not self.scale:
            return ratio
        apart = ((found - true) / 2) ** 2
        larger = (torch.maximum(found, true) + apart).clamp_min(SMALLEST)
        return (torch.minimum(found, true) + apart) / larger * ratio
