"""Connected components of a mask and the integer sums that their centroids are made of."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from scipy import ndimage

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Moments:
    """Area and coordinate sums of components in raster order of their first pixel.

    Attributes:
        areas: number of pixels.
        row_sums: sum of the pixels' rows.
        col_sums: sum of the pixels' columns.
    """

    areas: Int64[np.ndarray, " n"]
    row_sums: Int64[np.ndarray, " n"]
    col_sums: Int64[np.ndarray, " n"]

    @property
    def count(self) -> int:
        """Number of components."""
        return len(self.areas)

    @property
    def centroids(self) -> Float64[np.ndarray, "n 2"]:
        """Mean (row, col) of each component in pixels, not weighted."""
        sums = np.stack([self.row_sums, self.col_sums], axis=1)
        centroids: Float64[np.ndarray, "n 2"] = sums / self.areas[:, None]
        return centroids


@dataclass(frozen=True)
class Components(Moments):
    """The components of one mask.

    Attributes:
        labels: 0 on the background, 1 + position of the component elsewhere.
        boxes: (top, left, bottom, right) in pixels, bottom and right exclusive.
    """

    labels: Int32[np.ndarray, "h w"]
    boxes: Int64[np.ndarray, "n 4"]

    @property
    def moments(self) -> Moments:
        """The sums alone, without the label image: what is worth keeping of many images."""
        return Moments(self.areas, self.row_sums, self.col_sums)


def label_components(mask: Bool[np.ndarray, "h w"]) -> Components:
    """Find the 8-connected components of a mask.

    Args:
        mask: foreground pixels.

    Returns:
        Components numbered in raster order of their first pixel (top row first, then left to
        right).
    """
    labels = np.empty(mask.shape, dtype=np.int32)
    ndimage.label(mask, structure=EIGHT_CONNECTED, output=labels)
    pixels = np.flatnonzero(mask)
    owners = labels.ravel()[pixels]
    by_owner = np.argsort(
        owners, kind="stable"
    )  # within a component the pixels stay in raster order
    rows, cols = np.divmod(pixels[by_owner], mask.shape[1])
    areas = np.bincount(owners)[1:].astype(np.int64)
    last = np.cumsum(areas) - 1
    first = last - areas + 1
    left, right = np.minimum.reduceat(cols, first), np.maximum.reduceat(cols, first) + 1
    return Components(
        areas=areas,
        row_sums=np.add.reduceat(rows, first),
        col_sums=np.add.reduceat(cols, first),
        labels=labels,
        boxes=np.stack([rows[first], left, rows[last] + 1, right], axis=1),
    )
