"""Data that passes between layers: points (row, col), sizes (height, width), boxes half-open."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float32

if TYPE_CHECKING:
    from torch import Tensor

Border = Literal["wrap", "repeat", "reverse"]
"""What stands for the frames of a clip that lie outside its sequence: see `irstd.data.clips`."""


@dataclass(frozen=True)
class Detection:
    """One predicted component (8-connected).

    Attributes:
        row: centroid row in pixels, the mean over the component, not weighted.
        col: centroid column in pixels.
        box: (top, left, bottom, right) in pixels, bottom and right exclusive.
        area_px: number of pixels.
        score: largest probability inside the component.
    """

    row: float
    col: float
    box: tuple[int, int, int, int]
    area_px: int
    score: float


@dataclass(frozen=True)
class Prediction:
    """What a network says about one image, on the grid of that image.

    Attributes:
        probability: (H, W) in [0, 1].
        mask: (H, W), probability strictly above the threshold.
        detections: components of `mask` in raster order of their first pixel.
    """

    probability: Float32[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"]
    detections: tuple[Detection, ...]


@dataclass(frozen=True)
class Outputs:
    """What a network gives the loss of its paper; all but the attention are logits.

    Attributes:
        logits: (N, 1, H, W), the prediction: what `forward` returns.
        side: further maps for deep supervision, (N, 1, H, W) or a whole fraction of that size, in
            the published order without the prediction.
        grid: (N, 1, h, w), one logit per cell of the image (PQGNet).
        patches: (N, P, k, k), the P patches inside the image, row by row (LPNet).
        attention: (N, 1, H, W), sums to 1 over each image (LPNet).
    """

    logits: "Tensor"
    side: "tuple[Tensor, ...]" = ()
    grid: "Tensor | None" = None
    patches: "Tensor | None" = None
    attention: "Tensor | None" = None
