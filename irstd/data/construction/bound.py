"""What two images of one size lack in similarity at least, from a few numbers of each.

A window's similarity is S = l c with the luminance l = (2 mu_x mu_y + C1) / (mu_x^2 + mu_y^2 + C1)
in (0, 1] and, by the inequality of Cauchy and Schwarz, c <= (2 sigma_x sigma_y + C2) /
(sigma_x^2 + sigma_y^2 + C2). So

    1 - S >= (mu_x - mu_y)^2 / (mu_x^2 + mu_y^2 + C1)
    1 - S >= (sigma_x - sigma_y)^2 / (sigma_x^2 + sigma_y^2 + C2)

For fractions, mean(p^2 / z) >= mean(|p|)^2 / mean(z) >= mean(p)^2 / mean(z) (Cauchy and Schwarz
again). The means of mu, mu^2, sigma and sigma^2 over a block of windows therefore bound the mean of
1 - S over that block from below, and nothing with a similarity above the threshold is lost.
Brunet, Vrscay, Wang, "On the mathematical properties of the structural similarity index", IEEE TIP
21(4), 2012, section III, treat these fractions as squared metrics.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import KDTree

from irstd.data.construction.spread import spread
from irstd.data.construction.ssim import C1, C2, STRIP_ROWS, Image, window_statistics

CELLS = 4
"""The proposal compares the mean deviation in at most this many cells along each axis."""

SLACK = 1e-9
"""Relative allowance for rounding; pairs this close to the limit are kept."""

CHUNK = 1024  # pairs bounded at a time


class Bucket(NamedTuple):
    """Images of similar mean variance.

    Attributes:
        rows: positions of the images.
        tree: their cells, see `Summaries.cells`.
        variance: greatest mean variance among them.
    """

    rows: Int64[np.ndarray, " k"]
    tree: KDTree
    variance: float


class Summaries:
    """Block means of the window statistics of images of one size.

    Args:
        images: (H, W) each, at least 11 x 11.
        workers: threads that read them; None for one per core.
    """

    def __init__(self, images: Sequence[Image], workers: int | None = 1) -> None:
        """Read each image once."""
        means = np.stack(spread(_block_sums, images, workers))
        self.windows: Float64[np.ndarray, "strips columns"] = means[0, -1].copy()
        means /= self.windows
        self.mean, self.square, self.deviation, self.variance = (means[:, k] for k in range(4))

    def missing(self, row: int, others: Int64[np.ndarray, " k"]) -> Float64[np.ndarray, "k strips"]:
        """Lower bound of the sum of 1 - S over each strip, of one image with others."""
        luminance = (self.mean[row] - self.mean[others]) ** 2
        luminance /= self.square[row] + self.square[others] + C1
        contrast = (self.deviation[row] - self.deviation[others]) ** 2
        contrast /= self.variance[row] + self.variance[others] + C2
        return np.asarray((np.maximum(luminance, contrast) * self.windows).sum(axis=2))

    def proposals(self, row: int, threshold: float) -> Int64[np.ndarray, " k"]:
        """All images whose deviations allow a similarity above the threshold, in order.

        With shares w of the windows in a cell and mean deviations s in it, the mean over all
        windows of 1 - S is at least (sum of w |s_x - s_y|)^2 / (v_x + v_y + C2), v the mean
        variances. A tree over w s finds the images within the distance that this allows.

        Args:
            row: position of the image, itself among the results.
            threshold: of the similarity.
        """
        limit = (1.0 - threshold) * (1.0 + SLACK)
        near = [
            bucket.rows[bucket.tree.query_ball_point(self.cells[row], radius, p=1.0)]
            for bucket in self.buckets
            for radius in [np.sqrt(limit * (self.totals[row] + bucket.variance + C2))]
        ]
        return np.sort(np.concatenate(near))

    def candidates(
        self, row: int, others: Int64[np.ndarray, " k"], threshold: float
    ) -> tuple[Int64[np.ndarray, " m"], Float64[np.ndarray, "m strips"]]:
        """Those of some images for which the bound allows a similarity above the threshold.

        Args:
            row: position of an image, itself never among the results.
            others: positions of images to compare with it.
            threshold: of the similarity.

        Returns:
            Positions, the likeliest first, and for each the bound `missing`.
        """
        limit = (1.0 - threshold) * (1.0 + SLACK) * self.windows.sum()
        others = others[others != row]
        chunks = np.split(others, range(CHUNK, len(others), CHUNK))
        missing = np.concatenate([self.missing(row, chunk) for chunk in chunks])
        total = missing.sum(axis=1)
        order = np.argsort(total, kind="stable")
        order = order[total[order] <= limit]
        return others[order], missing[order]

    @cached_property
    def totals(self) -> Float64[np.ndarray, " n"]:
        """Mean variance of each image over all windows."""
        return np.asarray((self.variance * self._shares).sum(axis=(1, 2)))

    @cached_property
    def cells(self) -> Float64[np.ndarray, "n cells"]:
        """Sum of the deviations in each cell, each times its share of the windows."""
        weighted = self.deviation * self._shares
        for axis in (1, 2):
            count = weighted.shape[axis]
            starts = np.unique(np.arange(CELLS) * count // CELLS)
            weighted = np.add.reduceat(weighted, starts, axis=axis)
        return np.asarray(weighted.reshape(len(weighted), -1))

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """The images by powers of two of their mean variance, so that radii stay short."""
        powers = np.floor(np.log2(self.totals + C2))
        groups = [np.flatnonzero(powers == power) for power in np.unique(powers)]
        return tuple(
            Bucket(rows, KDTree(self.cells[rows]), float(self.totals[rows].max()))
            for rows in groups
        )

    @property
    def _shares(self) -> Float64[np.ndarray, "strips columns"]:
        return np.asarray(self.windows / self.windows.sum())


def _block_sums(image: Image) -> Float64[np.ndarray, "5 strips columns"]:
    """Sums of mean, squared mean, deviation, variance and 1 over the windows of each block.

    Blocks have `STRIP_ROWS` x `STRIP_ROWS` windows, those at the end fewer.
    """
    mean, variance = window_statistics(image)
    sums = np.stack([mean, mean * mean, np.sqrt(variance), variance, np.ones_like(mean)])
    for axis in (1, 2):
        starts = np.arange(0, sums.shape[axis], STRIP_ROWS)
        sums = np.add.reduceat(sums, starts, axis=axis)
    return sums
