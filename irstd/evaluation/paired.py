"""Two models on the same images: differences of their figures, with intervals and a test.

Both are drawn and swapped image by image (sequence by sequence), so what makes an image hard for
both cancels out.

- Interval: percentile bootstrap; each sample draws the same units for both models.
- Test: randomisation. If both models were equally good on each unit, each unit's two rows of
  counts might as well be swapped; p is the share of swaps whose difference is at least as large,
  either way, as the one found. All swaps are gone through where that takes no more than the samples
  asked for, and p is exact; otherwise swaps are drawn, the one found counts as one of them, and the
  test keeps its level. A swap that leaves a figure undefined counts as large. It needs no
  distribution and holds for ratios of sums, where a test of mean differences per image does not.

Interval and p answer different questions: how large the difference is, and whether there is one.
Many figures are tested at once; no p is corrected for that.

References: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, sections 13.3 and 15.2;
A. Yeh, "More accurate tests for the statistical significance of result differences", COLING 2000;
B. Phipson, G. Smyth, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol. Biol.
9(1), 2010, eq. 3 (drawn swaps).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from irstd.errors import DataError
from irstd.evaluation.bootstrap import (
    Counts,
    Figures,
    Interval,
    interval,
    resampled_sums,
    weighted_sums,
)

ROUNDING = 1e-9
"""Differences closer than this share of the figure are equal: sums are added in another order."""


@dataclass(frozen=True)
class Difference:
    """One figure of two models.

    Attributes:
        a: of the first model, NaN where undefined.
        b: of the second.
        difference: b - a.
        interval: of the difference.
        p: of the test, two-sided; NaN if the difference is undefined.
    """

    a: float
    b: float
    difference: float
    interval: Interval
    p: float


@dataclass(frozen=True)
class Paired:
    """What two models differ in.

    Attributes:
        figures: by name.
        swaps: number of swaps that the test went through.
        exact: whether these are all there are.
    """

    figures: dict[str, Difference]
    swaps: int
    exact: bool


def paired_differences(
    a: Counts, b: Counts, samples: int, confidence: float, seed: int, figures: Figures
) -> Paired:
    """Compare two models.

    Args:
        a: counts of the first model, one row per image, or per sequence
            (`irstd.evaluation.bootstrap.unit_sums`).
        b: of the second, on the same units in the same order.
        samples: number of samples of the bootstrap, and largest number of swaps.
        confidence: share of the samples between the bounds, in (0, 1).
        seed: of the random draws.
        figures: gives the figures of sums of the columns.

    Raises:
        DataError: the tables differ in shape.
    """
    if a.shape != b.shape:
        raise DataError(
            f"expected counts of the same units and columns, got {a.shape} and {b.shape}"
        )
    change = b - a
    sampled_a, sampled_change = np.hsplit(resampled_sums(np.hstack([a, change]), samples, seed), 2)
    swapped, exact = _swapped_sums(change, samples, seed)
    total_a, total_b = a.sum(axis=0), b.sum(axis=0)
    drawn = _differences(figures, sampled_a, sampled_a + sampled_change)
    under_swaps = _differences(figures, total_a + swapped, total_b - swapped)
    of_a, of_b = figures(total_a), figures(total_b)
    found = {
        name: Difference(
            a=float(of_a[name]),
            b=float(of_b[name]),
            difference=float(of_b[name] - of_a[name]),
            interval=interval(drawn[name], confidence),
            p=_p_value(float(of_a[name]), float(of_b[name]), under_swaps[name], exact),
        )
        for name in of_a
    }
    return Paired(found, len(swapped), exact)


def _differences(
    figures: Figures,
    sums_a: Float64[np.ndarray, "samples columns"],
    sums_b: Float64[np.ndarray, "samples columns"],
) -> dict[str, Float64[np.ndarray, " samples"]]:
    of_a, of_b = figures(sums_a), figures(sums_b)
    return {name: of_b[name] - values for name, values in of_a.items()}


def _swapped_sums(
    change: Counts, samples: int, seed: int
) -> tuple[Float64[np.ndarray, "swaps columns"], bool]:
    """What the first model gains and the second loses by each swap, and whether all are there.

    Swapping equal rows changes nothing, so only units with different ones count.
    """
    moved = change[change.any(axis=1)]
    if 2 ** len(moved) <= samples:
        bits = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        return bits @ moved, True
    rng = np.random.default_rng(seed)
    return weighted_sums(lambda size: rng.integers(0, 2, (size, len(moved))), moved, samples), False


def _p_value(a: float, b: float, swapped: Float64[np.ndarray, " swaps"], exact: bool) -> float:
    if np.isnan(b - a):
        return np.nan
    smaller = abs(b - a) - ROUNDING * max(abs(a), abs(b))
    large = int(np.count_nonzero(~(np.abs(swapped) < smaller)))
    return large / swapped.size if exact else (large + 1) / (swapped.size + 1)
