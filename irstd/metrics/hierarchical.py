"""Hierarchical evaluation: matching by overlap and distance, and the kinds of error.

Reference: "Rethinking Evaluation of Infrared Small Target Detection", NeurIPS 2025 Datasets and
Benchmarks, arXiv 2509.16888, and its toolkit PyIRSTDMetrics 1.0.2. `match_opdc` gives what the
toolkit gives, ties by the rule of `irstd.metrics.assignment.assign`; `match_opdc_exact` gives what
the name (overlap priority, distance compensation) says.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from irstd.metrics.assignment import TIE_PX, assign
from irstd.metrics.matching import match_candidates
from irstd.metrics.scene import Pairs, Scene, sort_pairs

OVERLAP = 0.5  # least IoU of a pair that needs no distance


def match_opdc(scene: Scene, distance: float, overlap: float = OVERLAP) -> Pairs:
    """Match as the toolkit does.

    1. The one-to-one assignment of min(n, m) pairs with the least total distance, whatever their
       overlap and distance.
    2. Of these the pairs with an IoU of at least `overlap` are kept.
    3. Targets and components without such a pair are assigned likewise, and the pairs closer than
       `distance` added.

    Args:
        scene: n targets and m components.
        distance: in pixels, exclusive.
        overlap: in (0, 1).

    Returns:
        (target, component) of each pair, sorted.
    """
    first = _assign_all(scene.distances)
    kept = first[scene.pair_ious(first) >= overlap]
    rows, cols = (
        np.flatnonzero(free) for free in _free(kept, scene.targets.count, scene.predicted.count)
    )
    second = _assign_all(scene.distances[np.ix_(rows, cols)])
    second = np.stack([rows[second[:, 0]], cols[second[:, 1]]], axis=1)
    added = second[scene.pair_distances(second) < distance]
    return sort_pairs(np.concatenate([kept, added]))


def match_opdc_exact(scene: Scene, distance: float) -> Pairs:
    """All pairs with an IoU of at least 1/2; then the rest by distance.

    Pairs with an IoU of at least 1/2 are one-to-one by themselves. The rest is a maximum matching
    of least total distance among the pairs closer than `distance`, decided in integers.

    Args:
        scene: targets and components.
        distance: in pixels, exclusive.

    Returns:
        (target, component) of each pair, sorted.
    """
    kept = _half_overlapping(scene)
    near = scene.exactly_nearer(distance)
    free_targets, free_components = _free(kept, scene.targets.count, scene.predicted.count)
    near = near.take(free_targets[near.targets] & free_components[near.predicted])
    return sort_pairs(np.concatenate([kept, match_candidates(near)]))


def opdc_candidates(scene: Scene, distance: float, overlap: float = OVERLAP) -> Pairs:
    """Pairs with an IoU of at least `overlap` or closer than `distance`, in any order."""
    overlapping = scene.touching[scene.pair_ious(scene.touching) >= overlap]
    return np.concatenate([overlapping, scene.nearer(distance)])


def opdc_exact_candidates(scene: Scene, distance: float) -> Pairs:
    """The same for an IoU of 1/2, decided in integers."""
    near = scene.exactly_nearer(distance)
    return np.concatenate(
        [_half_overlapping(scene), np.stack([near.targets, near.predicted], axis=1)]
    )


def error_counts(
    scene: Scene, pairs: Pairs, candidates: Int64[np.ndarray, "c 2"]
) -> dict[str, int | float]:
    """Counts behind the error shares of one image.

    Args:
        scene: targets and components.
        pairs: those of the matching.
        candidates: all that could be matched.

    Returns:
        `lone_components` and `lone_targets` without a candidate; `pair_merged`, `pair_false` and
        `pair_missed`, the sums over the pairs (G, Q) of the pixels of Q on other targets, of Q on
        background, and of G outside Q, each divided by |G or Q|.
    """
    lone_targets, lone_components = _free(candidates, scene.targets.count, scene.predicted.count)
    shared, unions = scene.pair_shared(pairs), scene.pair_unions(pairs)
    i, j = pairs.T
    on_targets = scene.on_targets[j]
    return {
        "lone_components": int(lone_components.sum()),
        "lone_targets": int(lone_targets.sum()),
        "pair_merged": float(((on_targets - shared) / unions).sum()),
        "pair_false": float(((scene.predicted.areas[j] - on_targets) / unions).sum()),
        "pair_missed": float(((scene.targets.areas[i] - shared) / unions).sum()),
    }


def _assign_all(distances: Float64[np.ndarray, "n m"]) -> Pairs:
    """Assignment of min(n, m) pairs with the least total distance."""
    if not distances.size:
        return np.empty((0, 2), np.int64)
    rows, cols = _within_reach(distances.T), _within_reach(distances)
    pairs = assign(distances[np.ix_(rows, cols)])
    return np.stack([rows[pairs[:, 0]], cols[pairs[:, 1]]], axis=1)


def _within_reach(distances: Float64[np.ndarray, "n m"]) -> Int64[np.ndarray, " k"]:
    """Columns that n rows could be assigned.

    These are the n nearest of each row, and those as near: who takes a farther one could change to
    one of these that is free.
    """
    n, m = distances.shape
    if m <= n:
        return np.arange(m)
    farthest = np.partition(distances, n - 1, axis=1)[:, [n - 1]]
    return np.flatnonzero((distances <= farthest + TIE_PX).any(axis=0))


def _half_overlapping(scene: Scene) -> Pairs:
    shared = 2 * scene.pair_shared(scene.touching)
    return scene.touching[shared >= scene.pair_unions(scene.touching)]


def _free(
    pairs: Pairs, n_targets: int, n_components: int
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " m"]]:
    """Which targets and which components are in no pair."""
    targets, components = np.ones(n_targets, dtype=bool), np.ones(n_components, dtype=bool)
    targets[pairs[:, 0]] = False
    components[pairs[:, 1]] = False
    return targets, components
