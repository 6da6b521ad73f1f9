"""Optimal assignment of a small dense table, with a rule for ties."""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

TIE_PX = 1e-9  # totals closer than this are equal


def assign(distances: Float64[np.ndarray, "n m"]) -> Int64[np.ndarray, "k 2"]:
    """Assign rows to columns one-to-one.

    Args:
        distances: in pixels; infinite where a pair is not allowed.

    Returns:
        The largest possible number of allowed pairs (row, column), with the smallest total
        distance among those; among equal totals the sorted list of pairs that comes first. Sorted
        by row.
    """
    allowed = np.isfinite(distances)
    size = max(distances.shape)
    # One pair more outweighs any distance.
    penalty = 1.0 + min(distances.shape) * distances[allowed].max()
    cost = np.full((size, size), penalty)
    cost[: allowed.shape[0], : allowed.shape[1]][allowed] = distances[allowed]
    _, partner = linear_sum_assignment(cost)
    partner = _first_of_equals(_tight_pairs(cost, partner), partner, cost < penalty)
    rows = np.flatnonzero(cost[np.arange(size), partner] < penalty)
    return np.stack([rows, partner[rows]], axis=1).astype(np.int64)


def _tight_pairs(
    cost: Float64[np.ndarray, "s s"], partner: Int64[np.ndarray, " s"]
) -> Bool[np.ndarray, "s s"]:
    """Pairs with reduced cost zero; the optimal assignments are those made of such pairs.

    The potentials of the columns are shortest paths in the residual graph of the assignment
    (Bellman-Ford).
    """
    extra = cost - np.take_along_axis(cost, partner[:, None], axis=1)
    potential = np.zeros(len(cost))
    for _ in range(len(cost)):
        shorter = np.minimum(potential, (extra + potential[partner, None]).min(axis=0))
        settled = (potential - shorter).max() <= TIE_PX * 1e-3
        potential = shorter
        if settled:
            break
    reduced: Float64[np.ndarray, "s s"] = extra + potential[partner, None] - potential
    return reduced <= TIE_PX


def _first_of_equals(
    tight: Bool[np.ndarray, "s s"],
    partner: Int64[np.ndarray, " s"],
    allowed: Bool[np.ndarray, "s s"],
) -> Int64[np.ndarray, " s"]:
    """Give each row in turn the first allowed column that some optimal assignment gives it."""
    tight = tight.copy()
    for row in range(len(partner)):
        better = tight[row] & allowed[row]
        if allowed[row, partner[row]]:
            better[partner[row] :] = False
        for column in np.flatnonzero(better):
            moved = _exchange(tight, partner, row, int(column))
            if moved is not None:
                partner = moved
                break
        # From here on this row keeps its column, or stays without an allowed one.
        tight[row] &= ~allowed[row] & ~allowed[row, partner[row]]
    return partner


def _exchange(
    tight: Bool[np.ndarray, "s s"], partner: Int64[np.ndarray, " s"], row: int, column: int
) -> Int64[np.ndarray, " s"] | None:
    """Give `column` to `row` and move other rows along tight pairs; None if that cannot be done."""
    owner = np.argsort(partner)
    taken_from = {column: -1}
    waiting = [column]
    while waiting:
        lost = waiting.pop()
        for new in np.flatnonzero(tight[owner[lost]]).tolist():
            if new not in taken_from:
                taken_from[new] = lost
                waiting.append(new)
        if int(partner[row]) in taken_from:
            return _follow(taken_from, partner, owner, row)
    return None


def _follow(
    taken_from: dict[int, int],
    partner: Int64[np.ndarray, " s"],
    owner: Int64[np.ndarray, " s"],
    row: int,
) -> Int64[np.ndarray, " s"]:
    moved = partner.copy()
    new = int(partner[row])
    while taken_from[new] >= 0:
        lost = taken_from[new]
        moved[owner[lost]] = new
        new = lost
    moved[row] = new
    return moved
