"""The loss of LPNet (F. Chen et al., IEEE TAES 2022): patches, and a target for the attention.

    L = mean cross-entropy of the patches inside the image + mean over images of sum (a - D)^2

a is the attention map, which sums to 1, and D the spread map of the mask: its pixels blurred by
K = 1e-5 + exp(-r^2 / (2 sigma^2)) in the Fourier domain (r in bins from the centre), scaled to
[0, 1], divided by its sum. The second part is for sets of many images (MFIRST); on SIRST the
authors train on the first alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from irstd.losses.bce import bce
from irstd.losses.deep_supervision import Criterion, needed
from irstd.losses.inputs import full_precision
from irstd.types import Outputs

FLOOR = 1e-5
FLAT = 1e-3
"""A blurred mask whose range is no larger counts as empty."""


def spread_map(mask: Float[Tensor, "n 1 h w"], sigma: float) -> Float[Tensor, "n 1 h w"]:
    """D: around each target a Gaussian of deviation H / (2 pi sigma) pixels; 0 for an empty mask.

    Args:
        mask: in [0, 1], float32 or float64.
        sigma: deviation in the Fourier domain, in bins.
    """
    height, width = mask.shape[-2:]
    rows = torch.arange(height, dtype=mask.dtype, device=mask.device) - height / 2
    cols = torch.arange(width, dtype=mask.dtype, device=mask.device) - width / 2
    squares = rows[:, None] ** 2 + cols**2
    # The shift by whole bins that centres the spectrum, applied to the kernel instead.
    kernel = torch.fft.ifftshift(FLOOR + torch.exp(-squares / (2 * sigma**2)))
    blurred = torch.fft.ifft2(torch.fft.fft2(mask) * kernel).real.abs()
    low, high = blurred.amin((-2, -1), keepdim=True), blurred.amax((-2, -1), keepdim=True)
    span = high - low
    scaled = torch.where(span > FLAT, (blurred - low) / span.clamp_min(FLAT), 0.0)
    total = scaled.sum((-2, -1), keepdim=True)
    return scaled / torch.where(total > 0, total, 1.0)


class LocalPatchLoss(Criterion):
    """L.

    Args:
        stride: distance of neighbouring patches, in pixels.
        sigma: of the spread map; None leaves the attention without a target.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(self, stride: int = 10, sigma: float | None = None) -> None:
        if stride < 1 or (sigma is not None and sigma <= 0):
            raise ValueError(
                f"expected stride and sigma above 0, got {stride} and {sigma}; "
                "see train.recipes.<network>.loss"
            )
        self.stride, self.sigma = stride, sigma

    def __call__(self, outputs: Outputs, mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """Loss of a batch; `mask` is 0 or 1.

        Raises:
            ValueError: the network gave no patches or attention, or patches of another stride.
        """
        patches = needed(outputs.patches, "patches", "lpnet")
        loss = bce(patches, self._patches_of(mask, patches))
        if self.sigma is None:
            return loss
        attention, mask = full_precision(needed(outputs.attention, "attention", "lpnet"), mask)
        difference = attention - spread_map(mask, self.sigma)
        return loss + (difference**2).flatten(1).sum(1).mean()

    def of_map(
        self, logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the whole map."""
        return bce(logits, mask)

    def _patches_of(self, mask: Tensor, like: Tensor) -> Tensor:
        side = like.shape[-1]
        columns = F.unfold(mask, side, stride=self.stride)  # (N, side * side, P)
        patches = columns.transpose(1, 2).reshape(len(mask), -1, side, side)
        if patches.shape != like.shape:
            raise ValueError(
                f"expected {patches.shape[1]} patches per image at stride {self.stride}, got "
                f"{like.shape[1]}; set train.recipes.<network>.loss.stride to the network's"
            )
        return patches
