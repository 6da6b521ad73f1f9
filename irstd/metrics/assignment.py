"""Optimal assignment of a dense table, with a rule for ties."""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

TIE_PX = 1e-9  # totals closer than this are equal


def assign(distances: Float64[np.ndarray, "n m"]) -> Int64[np.ndarray, "k 2"]:
    """Assign rows to columns one-to-one.

    Each line of the shorter side, a taker, takes one of the longer side; nothing is larger than
    the table.

    Args:
        distances: in pixels; infinite where a pair is not allowed, not everywhere.

    Returns:
        The largest possible number of allowed pairs (row, column), with the smallest total
        distance among those; among equal totals the sorted list of pairs that comes first. Sorted
        by row.
    """
    allowed = np.isfinite(distances)
    # One pair more outweighs any distance.
    penalty = 1.0 + min(distances.shape) * distances[allowed].max()
    cost = np.where(allowed, distances, penalty)
    turned = cost.shape[0] > cost.shape[1]
    cost = cost.T if turned else cost
    _, taken = linear_sum_assignment(cost)
    tight = _tight_pairs(cost, taken)
    equals = tight[:-1] & (cost < penalty)
    taken = _first_of_equals(
        tight, taken, np.argwhere(equals.T)[:, ::-1] if turned else np.argwhere(equals)
    )
    takers = np.flatnonzero(cost[np.arange(len(taken)), taken] < penalty)
    pairs = np.stack([takers, taken[takers]], axis=1).astype(np.int64)
    return pairs[np.argsort(pairs[:, 1]), ::-1] if turned else pairs


def _tight_pairs(
    cost: Float64[np.ndarray, "n m"], taken: Int64[np.ndarray, " n"]
) -> Bool[np.ndarray, "n_and_none m"]:
    """Pairs with reduced cost zero; the optimal assignments are those made of such pairs.

    The potentials of what is taken are shortest paths in the residual graph of the assignment
    (Bellman-Ford); those of what nobody takes are zero. A last row tells what nobody may take.
    """
    extra = cost - np.take_along_axis(cost, taken[:, None], axis=1)
    between = extra[:, taken]
    potential = np.zeros(len(taken))
    for _ in taken:
        shorter = (between + potential[:, None]).min(axis=0)
        settled = (potential - shorter).max() <= TIE_PX * 1e-3
        potential = shorter
        if settled:
            break
    of_all = np.zeros(cost.shape[1])
    of_all[taken] = potential
    reduced = extra + potential[:, None] - of_all
    tight: Bool[np.ndarray, "n_and_none m"] = np.vstack([reduced, -of_all]) <= TIE_PX
    return tight


def _first_of_equals(
    tight: Bool[np.ndarray, "n_and_none m"],
    taken: Int64[np.ndarray, " n"],
    pairs: Int64[np.ndarray, "k 2"],
) -> Int64[np.ndarray, " n"]:
    """Keep each pair in turn if an optimal assignment has it and all pairs kept before.

    Args:
        tight: as `_tight_pairs` gives them.
        taken: an optimal assignment.
        pairs: tight and allowed pairs (taker, taken) in the order of preference.
    """
    tight = tight.copy()
    for taker, wanted in pairs.tolist():
        if tight[taker, wanted]:
            moved = _exchange(tight, taken, taker, wanted)
            if moved is not None:
                taken = moved
                tight[taker] = False  # it keeps what it has
    return taken


def _exchange(
    tight: Bool[np.ndarray, "n_and_none m"],
    taken: Int64[np.ndarray, " n"],
    taker: int,
    wanted: int,
) -> Int64[np.ndarray, " n"] | None:
    """Give `wanted` to `taker` and move others along tight pairs; None if that cannot be done."""
    if taken[taker] == wanted:
        return taken
    owner = np.full(tight.shape[1], len(taken))  # nobody, who owns the last row of `tight`
    owner[taken] = np.arange(len(taken))
    taken_from = {wanted: -1}
    waiting = [wanted]
    while waiting:
        lost = waiting.pop()
        for new in np.flatnonzero(tight[owner[lost]]).tolist():
            if new not in taken_from:
                taken_from[new] = lost
                waiting.append(new)
        if int(taken[taker]) in taken_from:
            return _follow(taken_from, taken, owner, taker)
    return None


def _follow(
    taken_from: dict[int, int],
    taken: Int64[np.ndarray, " n"],
    owner: Int64[np.ndarray, " m"],
    taker: int,
) -> Int64[np.ndarray, " n"]:
    moved = np.append(taken, -1)  # a place for nobody
    new = int(taken[taker])
    while taken_from[new] >= 0:
        lost = taken_from[new]
        moved[owner[lost]] = new
        new = lost
    moved[taker] = new
    return moved[:-1]
