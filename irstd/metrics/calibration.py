"""Calibration: whether a pixel of score p is a target pixel in a share p of the cases."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from irstd.errors import ConfigError
from irstd.metrics.histogram import ScoreHistogram

DEFAULT_INTERVALS = 16


@dataclass(frozen=True)
class CalibrationCurve:
    """Reliability curve of the pixels (Guo et al., ICML 2017, section 2), lowest scores first.

    Attributes:
        low: lower end of each interval of scores, exclusive; the first interval includes 0.
        high: upper end, inclusive.
        pixels: number of pixels with a score in the interval.
        score: their mean score; NaN without pixels.
        target_share: share of target pixels among them; NaN without pixels.
        ece: expected calibration error (eq. 3 there), the mean of |target_share - score| over all
            intervals, weighted by `pixels`; NaN without pixels.
        ece_above_lowest: the same over all intervals but the lowest; NaN if they have no pixel.
            Nearly all pixels of an image are background with a score near 0, which makes `ece` of
            any detector small.
    """

    low: Float64[np.ndarray, " k"]
    high: Float64[np.ndarray, " k"]
    pixels: Int64[np.ndarray, " k"]
    score: Float64[np.ndarray, " k"]
    target_share: Float64[np.ndarray, " k"]
    ece: float
    ece_above_lowest: float


def calibration_curve(
    histogram: ScoreHistogram, intervals: int = DEFAULT_INTERVALS
) -> CalibrationCurve:
    """Reliability over equally wide intervals of the score.

    A score counts as the middle of its histogram bin, so mean scores and the error are off by at
    most 1 / (2 bins).

    Args:
        histogram: of the scores.
        intervals: their number, at least 2; divides the number of bins.

    Raises:
        ConfigError: another number.
    """
    if intervals < 2 or histogram.bins % intervals:
        raise ConfigError(
            f"intervals: expected a number >= 2 that divides the {histogram.bins} bins of the "
            f"histogram, got {intervals}"
        )
    middles = (np.arange(histogram.bins + 1) - 0.5) / histogram.bins
    middles[0] = 0.0  # bin 0 holds the score 0 alone
    bins = histogram.target + histogram.background
    pixels, targets, scores = (
        _join(x, intervals) for x in (bins, histogram.target, bins * middles)
    )
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        score, share = scores / pixels, targets / pixels
        errors = np.abs(targets - scores)
        ece, above = (errors[first:].sum() / pixels[first:].sum() for first in (0, 1))
    ends = np.arange(intervals + 1) / intervals
    counts = pixels.astype(np.int64)
    return CalibrationCurve(ends[:-1], ends[1:], counts, score, share, float(ece), float(above))


def _join(bins: np.ndarray, intervals: int) -> Float64[np.ndarray, " k"]:
    """Sum of each interval's bins; bin 0, the score 0, joins the lowest interval."""
    sums: Float64[np.ndarray, " k"] = bins[1:].reshape(intervals, -1).sum(axis=1, dtype=np.float64)
    sums[0] += bins[0]
    return sums
