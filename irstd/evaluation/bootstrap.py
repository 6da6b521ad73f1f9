"""Percentile bootstrap over images.

Reference: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from irstd.metrics.counts import figures


@dataclass(frozen=True)
class Interval:
    """Bounds of one figure.

    Attributes:
        low: lower bound, NaN if the figure was undefined in every sample.
        high: upper bound.
        undefined: share of the samples in which the figure was undefined; they are left out.
    """

    low: float
    high: float
    undefined: float


def bootstrap_intervals(
    counts: Float64[np.ndarray, "images columns"], samples: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """Draw whole images with replacement and take quantiles of every figure.

    Targets of one image are not independent, so images are drawn, not targets. A sample is a vector
    of multinomial weights; weights times counts gives the sums of all samples at once.

    Args:
        counts: one row per image, columns `irstd.metrics.counts.COUNT_COLUMNS`.
        samples: number of samples.
        confidence: share of the samples between the bounds, in (0, 1).
        seed: of the random draws.

    Returns:
        An interval for each key of `irstd.metrics.counts.figures`.
    """
    n_images = len(counts)
    draws = np.random.default_rng(seed).multinomial(
        n_images, np.full(n_images, 1.0 / n_images), size=samples
    )
    sampled = figures(draws.astype(np.float64) @ counts)
    tail = (1.0 - confidence) / 2.0
    return {name: _interval(values, tail) for name, values in sampled.items()}


def _interval(values: Float64[np.ndarray, " samples"], tail: float) -> Interval:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return Interval(float("nan"), float("nan"), 1.0)
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(float(low), float(high), 1.0 - defined.size / values.size)
