"""Percentile bootstrap over images, or over whole sequences.

Reference: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from irstd.metrics.counts import figures as default_figures

CHUNK = 1000
"""Samples drawn at a time; bounds the memory that their weights take."""

Names = Sequence[str | None] | np.ndarray
Counts = Float64[np.ndarray, "units columns"]
Figures = Callable[[Float64[np.ndarray, "*batch columns"]], Mapping[str, Any]]
"""Every figure from sums of counts, such as `irstd.metrics.counts.figures`."""


@dataclass(frozen=True)
class Interval:
    """Bounds of one figure.

    Attributes:
        low: lower bound, NaN if the figure was undefined in every sample, or if there is none
            because there are fewer than two units.
        high: upper bound.
        undefined: share of the samples in which the figure was undefined; they are left out.
    """

    low: float
    high: float
    undefined: float


def unit_name(sequences: Names) -> str:
    """What is drawn: `sequence` if any image belongs to one, else `image`; see `unit_sums`."""
    return "sequence" if pd.notna(np.asarray(sequences, dtype=object)).any() else "image"


def unit_sums(counts: Float64[np.ndarray, "images columns"], sequences: Names) -> Counts:
    """Add up what is drawn as a whole, because its parts are not independent.

    Targets of one image are not, nor are the frames of one sequence.

    Args:
        counts: one row per image.
        sequences: (images,), names; None or NaN for a single image, which is a unit of its own.

    Returns:
        One row per sequence in the order in which they first occur, then one per single image.
    """
    codes, names = pd.factorize(np.asarray(sequences, dtype=object))
    single = codes < 0
    codes[single] = len(names) + np.arange(single.sum())
    sums = np.zeros((len(names) + int(single.sum()), counts.shape[1]))
    np.add.at(sums, codes, counts)
    return sums


def bootstrap_intervals(
    units: Counts,
    samples: int,
    confidence: float,
    seed: int,
    figures: Figures = default_figures,
) -> dict[str, Interval]:
    """Draw whole units with replacement and take quantiles of every figure.

    Args:
        units: one row of counts per image, or per sequence (`unit_sums`).
        samples: number of samples.
        confidence: share of the samples between the bounds, in (0, 1).
        seed: of the random draws.
        figures: gives the figures of sums of the columns.

    Returns:
        An interval for each key of `figures`.
    """
    sampled = figures(resampled_sums(units, samples, seed))
    return {name: interval(values, confidence) for name, values in sampled.items()}


def resampled_sums(
    units: Counts, samples: int, seed: int
) -> Float64[np.ndarray, "samples columns"]:
    """Sums of the counts over each sample of as many units as there are, with replacement.

    A sample is a vector of multinomial weights. There is none of fewer than two units: they say
    nothing about the spread.
    """
    n_units = len(units)
    if n_units < 2:
        return np.empty((0, units.shape[1]))
    shares, rng = np.full(n_units, 1.0 / n_units), np.random.default_rng(seed)
    return weighted_sums(lambda size: rng.multinomial(n_units, shares, size), units, samples)


def weighted_sums(
    draw: Callable[[int], np.ndarray], units: Counts, samples: int
) -> Float64[np.ndarray, "samples columns"]:
    """Sums of the rows under random weights.

    Args:
        draw: gives so many rows of weights, (rows, units).
        units: one row of counts per unit.
        samples: number of rows of weights in all.
    """
    sizes = [min(CHUNK, samples - start) for start in range(0, samples, CHUNK)]
    return np.concatenate([draw(size).astype(np.float64) @ units for size in sizes])


def interval(values: Float64[np.ndarray, " samples"], confidence: float) -> Interval:
    """Bounds between which the middle samples lie.

    Args:
        values: a figure in each sample, NaN where it is undefined.
        confidence: share of the samples between the bounds, in (0, 1).
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return Interval(np.nan, np.nan, 1.0)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(float(low), float(high), 1.0 - defined.size / values.size)
