"""Targets of which only the places are known, from boxes or points: only detection is measured."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from irstd.metrics.components import Components

GRAIN = 1000
"""A place is known to this part of a pixel: as area and sums of a component, so that distances are
decided in integers as those of masks are."""


@dataclass(frozen=True)
class PointTargets(Components):
    """Targets at known places; each is drawn as the pixel that holds its place.

    Areas, boxes and pixels say nothing about the target; areas are `GRAIN`.
    """


def point_targets(centres: Float64[np.ndarray, "n 2"], shape: tuple[int, int]) -> PointTargets:
    """Targets at given places.

    Args:
        centres: (row, col) in pixels, pixel centres at integers, inside the image.
        shape: (height, width) of the image.
    """
    sums = np.rint(GRAIN * centres).astype(np.int64).reshape(-1, 2)
    pixels = np.clip(np.rint(centres).astype(np.int64).reshape(-1, 2), 0, np.array(shape) - 1)
    labels = np.zeros(shape, dtype=np.int32)
    labels[pixels[:, 0], pixels[:, 1]] = np.arange(1, len(pixels) + 1)
    return PointTargets(
        np.full(len(pixels), GRAIN),
        sums[:, 0],
        sums[:, 1],
        labels=labels,
        pixels=np.flatnonzero(labels),
        boxes=np.concatenate([pixels, pixels + 1], axis=1),
    )
