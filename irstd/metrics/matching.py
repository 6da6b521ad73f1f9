"""Which predicted component detects which target: one-to-one, at most a given distance apart.

As many pairs as possible, and among those the smallest total distance (ISPANet, IEEE JSTARS 2024,
section V-B): the number of pairs and their total distance do not depend on the order of targets and
components. Which of several such matchings is taken does, and with it `fa_pixel`, the pixels of
components without a target.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from irstd.metrics.assignment import assign
from irstd.metrics.components import Moments

SEARCH_MARGIN_PX = 1e-6  # the search works in floating point; the exact test follows it
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
    return match_candidates(find_candidates(targets, predicted, distance))


def match_candidates(candidates: Candidates) -> Int64[np.ndarray, "k 2"]:
    """Match one-to-one among given pairs: most pairs, least total distance, first sorted list.

    Returns:
        (target, predicted component) of each pair, sorted.
    """
    per_target = np.bincount(candidates.targets)
    per_predicted = np.bincount(candidates.predicted)
    if per_target.max(initial=0) <= 1 and per_predicted.max(initial=0) <= 1:  # nothing to choose
        pairs = _pairs(candidates)
    else:
        pairs = np.concatenate(_match_groups(candidates, per_target, per_predicted))
    return pairs[np.argsort(pairs[:, 0])]


def find_candidates(
    targets: Moments, predicted: Moments, distance: float, strict: bool = False
) -> Candidates:
    """All pairs whose centroids are at most `distance` apart, decided in integers.

    With area n and coordinate sums S of a target, q and T of a component, and the limit a / b:
    distance <= a / b  <=>  b^2 ((n T_row - q S_row)^2 + (n T_col - q S_col)^2) <= (a n q)^2.
    `strict` asks for "less than" in place of "at most".
    Only the targets within the limit of a component's row are looked at: a range of the targets
    sorted by row.
    """
    reach = distance + SEARCH_MARGIN_PX
    (rows, cols), (p_rows, p_cols) = targets.centroids.T, predicted.centroids.T
    by_row = np.argsort(rows)
    first = np.searchsorted(rows[by_row], p_rows - reach)
    counts = np.searchsorted(rows[by_row], p_rows + reach, side="right") - first
    j = np.repeat(np.arange(predicted.count), counts)
    i = by_row[np.arange(len(j)) + np.repeat(first + counts - np.cumsum(counts), counts)]
    near = np.abs(cols[i] - p_cols[j]) <= reach
    if not near.any():
        return Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return _exactly_within(i[near], j[near], targets, predicted, _as_printed(distance), strict)


@lru_cache(maxsize=64)
def _as_printed(distance: float) -> Fraction:
    return Fraction(repr(float(distance)))


def _exactly_within(
    i: Int64[np.ndarray, " k"],
    j: Int64[np.ndarray, " k"],
    targets: Moments,
    predicted: Moments,
    limit: Fraction,
    strict: bool,
) -> Candidates:
    # object: Python's unbounded integers, for components that are very large or far from the origin
    kind = np.int64 if _fits_int64(targets, predicted, limit) else object
    n, rows, cols = (x[i].astype(kind) for x in (targets.areas, targets.row_sums, targets.col_sums))
    q, p_rows, p_cols = (
        x[j].astype(kind) for x in (predicted.areas, predicted.row_sums, predicted.col_sums)
    )
    squared = (n * p_rows - q * rows) ** 2 + (n * p_cols - q * cols) ** 2
    scale = n * q
    compare = np.less if strict else np.less_equal
    within = compare(limit.denominator**2 * squared, (limit.numerator * scale) ** 2).astype(bool)
    squared, scale_squared = squared[within], scale[within] ** 2
    common = np.gcd(squared, scale_squared)  # reduced: equal distances become equal floats
    ratio = (squared // common).astype(np.float64) / (scale_squared // common).astype(np.float64)
    return Candidates(i[within], j[within], np.sqrt(ratio))


def _fits_int64(targets: Moments, predicted: Moments, limit: Fraction) -> bool:
    """Whether no product or square of the exact test leaves int64.

    The pairs are near already, so differences are at most (limit + margin) n q.
    """
    (n, n_sum), (q, q_sum) = targets.largest, predicted.largest
    largest_root = (limit.numerator + limit.denominator) * n * q
    return max(n, q) * max(n_sum, q_sum) < 2**62 and largest_root < INT64_SAFE


def _match_groups(
    candidates: Candidates,
    per_target: Int64[np.ndarray, " n"],
    per_predicted: Int64[np.ndarray, " m"],
) -> list[Int64[np.ndarray, "k 2"]]:
    """Match each connected group of candidates by itself.

    Nearly all groups are stars, of one target or one component: none of its partners has another
    pair. Of a star the nearest pair is taken.

    Args:
        candidates: at least one pair.
        per_target: number of pairs of each target.
        per_predicted: number of pairs of each component.
    """
    rivals_of_target, rivals_of_predicted = np.zeros_like(per_target), np.zeros_like(per_predicted)
    np.maximum.at(rivals_of_target, candidates.targets, per_predicted[candidates.predicted])
    np.maximum.at(rivals_of_predicted, candidates.predicted, per_target[candidates.targets])
    around_target = rivals_of_target[candidates.targets] == 1
    star = around_target | (rivals_of_predicted[candidates.predicted] == 1)
    centre = np.where(around_target, candidates.targets, len(per_target) + candidates.predicted)
    order = np.lexsort((candidates.predicted, candidates.targets, candidates.distances, centre))
    order = order[star[order]]
    first = np.flatnonzero(np.diff(centre[order], prepend=-1))
    matched = [_pairs(candidates.take(order[first]))]
    if not star.all():
        matched += [_match_group(group) for group in _split(candidates.take(~star))]
    return matched


def _pairs(candidates: Candidates) -> Int64[np.ndarray, "k 2"]:
    return np.stack([candidates.targets, candidates.predicted], axis=1)


def _split(candidates: Candidates) -> list[Candidates]:
    """The connected groups of the candidates."""
    n_targets = int(candidates.targets.max()) + 1
    n_nodes = n_targets + int(candidates.predicted.max()) + 1
    ends = (candidates.targets, n_targets + candidates.predicted)
    graph = coo_array((np.ones(len(candidates), dtype=bool), ends), shape=(n_nodes, n_nodes))
    _, group_of = connected_components(graph, directed=False)
    group = group_of[candidates.targets]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return [candidates.take(members) for members in np.split(order, starts[1:])]


def _match_group(candidates: Candidates) -> Int64[np.ndarray, "k 2"]:
    targets, row = np.unique(candidates.targets, return_inverse=True)
    predicted, col = np.unique(candidates.predicted, return_inverse=True)
    distances = np.full((len(targets), len(predicted)), np.inf)
    distances[row, col] = candidates.distances
    pairs = assign(distances)
    return np.stack([targets[pairs[:, 0]], predicted[pairs[:, 1]]], axis=1)
