"""Which predicted component detects which target: one-to-one, at most a given distance apart.

As many pairs as possible, and among those the smallest total distance, so the result does not
depend on the order in which targets or components are visited (ISPANet, IEEE JSTARS 2024, section
V-B).
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from irstd.metrics.assignment import assign
from irstd.metrics.components import Moments

SEARCH_MARGIN_PX = 1e-6  # the search tree works in floating point; the exact test follows it
INT64_SAFE = 2**31  # two squares of integers below it fit int64


@dataclass(frozen=True)
class Candidates:
    """Pairs that may be matched.

    Attributes:
        targets: position of the target.
        predicted: position of the predicted component.
        distances: distance of their centroids in pixels; equal distances are equal numbers.
    """

    targets: Int64[np.ndarray, " k"]
    predicted: Int64[np.ndarray, " k"]
    distances: Float64[np.ndarray, " k"]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.targets)

    def take(self, which: np.ndarray) -> "Candidates":
        """Some of the pairs, by position or by flag."""
        return Candidates(self.targets[which], self.predicted[which], self.distances[which])


def match_components(
    targets: Moments, predicted: Moments, distance: float
) -> Int64[np.ndarray, "k 2"]:
    """Match targets and predicted components one-to-one.

    The largest number of pairs with distance <= `distance`; of these matchings the one with the
    smallest total distance; of equal ones that whose sorted list of pairs comes first.

    Args:
        targets: components of the ground truth.
        predicted: components of the prediction.
        distance: limit in pixels, inclusive, taken as the decimal number it prints as.

    Returns:
        (target, predicted component) of each pair, sorted.
    """
    candidates = find_candidates(targets, predicted, distance)
    sides = candidates.targets, candidates.predicted
    if all(len(np.unique(side)) == len(candidates) for side in sides):  # nothing to choose
        pairs = np.stack(sides, axis=1)
    else:
        pairs = np.concatenate(_match_groups(candidates))
    return pairs[np.argsort(pairs[:, 0])]


def find_candidates(targets: Moments, predicted: Moments, distance: float) -> Candidates:
    """All pairs whose centroids are at most `distance` apart, decided in integers.

    With area n and coordinate sums S of a target, q and T of a component, and the limit a / b:
    distance <= a / b  <=>  b^2 ((n T_row - q S_row)^2 + (n T_col - q S_col)^2) <= (a n q)^2.
    """
    if not (targets.count and predicted.count):
        return Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    near = KDTree(targets.centroids).sparse_distance_matrix(
        KDTree(predicted.centroids), distance + SEARCH_MARGIN_PX, output_type="ndarray"
    )
    found = Candidates(near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"])
    return _exactly_within(found, targets, predicted, Fraction(repr(float(distance))))


def _exactly_within(
    found: Candidates, targets: Moments, predicted: Moments, limit: Fraction
) -> Candidates:
    # object: Python's unbounded integers, for components that are very large or far from the origin
    kind = np.int64 if _fits_int64(targets, predicted, limit) else object
    n, rows, cols = (
        x[found.targets].astype(kind) for x in (targets.areas, targets.row_sums, targets.col_sums)
    )
    q, p_rows, p_cols = (
        x[found.predicted].astype(kind)
        for x in (predicted.areas, predicted.row_sums, predicted.col_sums)
    )
    squared = (n * p_rows - q * rows) ** 2 + (n * p_cols - q * cols) ** 2
    scale = n * q
    within = (limit.denominator**2 * squared <= (limit.numerator * scale) ** 2).astype(bool)
    squared, scale_squared = squared[within], scale[within] ** 2
    common = np.gcd(squared, scale_squared)  # reduced: equal distances become equal floats
    ratio = (squared // common).astype(np.float64) / (scale_squared // common).astype(np.float64)
    return Candidates(found.targets[within], found.predicted[within], np.sqrt(ratio))


def _fits_int64(targets: Moments, predicted: Moments, limit: Fraction) -> bool:
    """Whether no product or square of the exact test leaves int64.

    The pairs are near already, so differences are at most (limit + margin) n q.
    """
    n, q = int(targets.areas.max()), int(predicted.areas.max())
    largest_sum = max(int(x.max()) for m in (targets, predicted) for x in (m.row_sums, m.col_sums))
    largest_root = (limit.numerator + limit.denominator) * n * q
    return max(n, q) * largest_sum < 2**62 and largest_root < INT64_SAFE


def _match_groups(candidates: Candidates) -> list[Int64[np.ndarray, "k 2"]]:
    """Match each connected group of candidates by itself.

    Nearly all groups have one target or one component; their nearest pair is found at once.
    """
    n_targets = int(candidates.targets.max()) + 1
    n_nodes = n_targets + int(candidates.predicted.max()) + 1
    ends = (candidates.targets, n_targets + candidates.predicted)
    graph = coo_array((np.ones(len(candidates), dtype=bool), ends), shape=(n_nodes, n_nodes))
    _, group_of = connected_components(graph, directed=False)
    n_groups = int(group_of.max()) + 1
    sides = [np.bincount(group_of[np.unique(end)], minlength=n_groups) for end in ends]
    star = np.minimum(*sides) == 1

    group = group_of[candidates.targets]
    order = np.lexsort((candidates.predicted, candidates.targets, candidates.distances, group))
    candidates, group = candidates.take(order), group[order]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    nearest = candidates.take(starts[star[group[starts]]])
    matched = [np.stack([nearest.targets, nearest.predicted], axis=1)]
    for start, end in zip(starts, np.r_[starts[1:], len(group)], strict=True):
        if not star[group[start]]:
            matched.append(_match_group(candidates.take(np.arange(start, end))))
    return matched


def _match_group(candidates: Candidates) -> Int64[np.ndarray, "k 2"]:
    targets, row = np.unique(candidates.targets, return_inverse=True)
    predicted, col = np.unique(candidates.predicted, return_inverse=True)
    distances = np.full((len(targets), len(predicted)), np.inf)
    distances[row, col] = candidates.distances
    pairs = assign(distances)
    return np.stack([targets[pairs[:, 0]], predicted[pairs[:, 1]]], axis=1)
