"""The location term of MSHNet (Q. Liu et al., CVPR 2024), as its code computes it.

With x = mean over all pixels of (column / W) p, y of (row / H) p, r = sqrt(x^2 + y^2 + e), the same
of the target, and e = 1e-8:

    L = mean over images of 1 - min(r_p, r_t) / (max(r_p, r_t) + e)
        + (4 / pi^2) (atan(y_p / (x_p + e)) - atan(y_t / (x_t + e)))^2

x and y are not divided by the mass sum p, so this is no distance of centroids: the angle is a
centroid's direction seen from the top left corner, the radius mixes its distance with the mass.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from irstd.losses.inputs import full_precision

EPS = 1e-8


def location(logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """L.

    Args:
        logits: any finite values.
        mask: in [0, 1].

    Raises:
        ValueError: logits and mask differ in shape.
    """
    logits, mask = full_precision(logits, mask)
    radius, angle = _polar(logits.sigmoid())
    true_radius, true_angle = _polar(mask)
    shorter = torch.minimum(radius, true_radius)
    longer = torch.maximum(radius, true_radius)
    turned = 4 / math.pi**2 * (angle - true_angle) ** 2
    return (1 - shorter / (longer + EPS) + turned).mean()


def _polar(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Radius and angle of the first moment of each image, (N,) each."""
    height, width = plane.shape[-2:]
    rows = torch.arange(height, dtype=plane.dtype, device=plane.device) / height
    columns = torch.arange(width, dtype=plane.dtype, device=plane.device) / width
    x = (plane * columns).flatten(1).mean(1)
    y = (plane * rows[:, None]).flatten(1).mean(1)
    return (x**2 + y**2 + EPS).sqrt(), torch.atan(y / (x + EPS))
