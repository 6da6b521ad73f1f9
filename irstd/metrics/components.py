"""Connected components of a mask and the integer sums that their centroids are made of."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64


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

    @cached_property
    def centroids(self) -> Float64[np.ndarray, "n 2"]:
        """Mean (row, col) of each component in pixels, not weighted."""
        sums = np.stack([self.row_sums, self.col_sums], axis=1)
        centroids: Float64[np.ndarray, "n 2"] = sums / self.areas[:, None]
        return centroids

    @cached_property
    def largest(self) -> tuple[int, int]:
        """Largest area and largest coordinate sum of at least one component."""
        return int(self.areas.max()), int(max(self.row_sums.max(), self.col_sums.max()))


@dataclass(frozen=True)
class Components(Moments):
    """The components of one mask.

    Attributes:
        labels: 0 on the background, 1 + position of the component elsewhere.
        pixels: positions of the foreground in `labels.ravel()`, ascending.
        boxes: (top, left, bottom, right) in pixels, bottom and right exclusive.
    """

    labels: Int32[np.ndarray, "h w"]
    pixels: Int64[np.ndarray, " k"]
    boxes: Int64[np.ndarray, "n 4"]

    @property
    def moments(self) -> Moments:
        """The sums alone, without the label image: what is worth keeping of many images."""
        return Moments(self.areas, self.row_sums, self.col_sums)


def label_components(mask: Bool[np.ndarray, "h w"]) -> Components:
    """Find the 8-connected components of a mask.

    Foreground pixels are few: they are gathered once, labelled on a grid without the empty rows and
    columns, and measured by themselves.

    Args:
        mask: foreground pixels.

    Returns:
        Components numbered in raster order of their first pixel (top row first, then left to
        right).
    """
    pixels = np.flatnonzero(mask)
    rows, cols = np.divmod(pixels, mask.shape[1])
    owners, count = _label_pixels(rows, cols, mask.shape)
    labels = np.zeros(mask.shape, dtype=np.int32)
    labels.reshape(-1)[pixels] = owners + 1
    boxes = np.repeat([[*mask.shape, 0, 0]], count, axis=0)
    np.minimum.at(boxes[:, 0], owners, rows)
    np.minimum.at(boxes[:, 1], owners, cols)
    np.maximum.at(boxes[:, 2], owners, rows + 1)
    np.maximum.at(boxes[:, 3], owners, cols + 1)
    sums = _sum_pixels(owners, rows, cols, count)
    return Components(*sums, labels=labels, pixels=pixels, boxes=boxes)


def find_moments(
    rows: Int64[np.ndarray, " k"], cols: Int64[np.ndarray, " k"], shape: tuple[int, ...]
) -> Moments:
    """The sums alone of the components that foreground pixels form, numbered as above.

    Args:
        rows: of the pixels, each pixel once and in any order.
        cols: of the pixels.
        shape: (H, W) of the image.
    """
    owners, count = _label_pixels(rows, cols, shape)
    return Moments(*_sum_pixels(owners, rows, cols, count))


def _sum_pixels(
    owners: Int32[np.ndarray, " k"],
    rows: Int64[np.ndarray, " k"],
    cols: Int64[np.ndarray, " k"],
    count: int,
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Area, sum of rows and sum of columns of each component."""
    # float64 sums of integers: exact below 2^53
    row_sums, col_sums = (np.bincount(owners, x, count).astype(np.int64) for x in (rows, cols))
    return np.bincount(owners, minlength=count), row_sums, col_sums


def _label_pixels(
    rows: Int64[np.ndarray, " k"], cols: Int64[np.ndarray, " k"], shape: tuple[int, ...]
) -> tuple[Int32[np.ndarray, " k"], int]:
    """Component of each foreground pixel, and their number.

    SAUF numbers components at their first pixel; OpenCV's faster algorithms go by blocks of 2 x 2
    pixels and so in another order.
    """
    near_rows, height = _close_gaps(rows, shape[0])
    near_cols, width = _close_gaps(cols, shape[1])
    places = near_rows * width + near_cols
    image = np.zeros((height, width), dtype=np.uint8)
    image.reshape(-1)[places] = 1
    n_labels, labels = cv2.connectedComponentsWithAlgorithm(image, 8, cv2.CV_32S, cv2.CCL_SAUF)
    return labels.reshape(-1)[places] - 1, n_labels - 1


def _close_gaps(
    lines: Int64[np.ndarray, " k"], n_lines: int
) -> tuple[Int64[np.ndarray, " k"], int]:
    """Renumber lines so that of empty ones in a row only the first is left, and count them."""
    kept = np.zeros(n_lines + 1, dtype=bool)
    kept[lines] = kept[lines + 1] = True
    numbers = np.cumsum(kept)
    return numbers[lines], int(numbers[-1]) + 1
