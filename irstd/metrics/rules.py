"""The match rules: which target and predicted component of an image belong together.

A rule takes the scene and its distance in pixels and returns pairs (target, component), sorted.
Published rules compare distances in floating point and visit both in raster order, as their codes
do; only the few pairs in range are looped over.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64

from irstd.metrics.convention import Rule
from irstd.metrics.hierarchical import (
    match_opdc,
    match_opdc_exact,
    opdc_candidates,
    opdc_exact_candidates,
)
from irstd.metrics.matching import match_components
from irstd.metrics.scene import Pairs, Scene, sort_pairs


def match_nearest(scene: Scene, distance: float) -> Pairs:
    """Maximum one-to-one matching of least total distance, `distance` inclusive and exact."""
    return match_components(scene.targets, scene.predicted, distance)


def match_first_fit(scene: Scene, distance: float) -> Pairs:
    """Each target in turn takes the first free component closer than `distance`."""
    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    last = -1
    for target, component in scene.nearer(distance).tolist():
        if target != last and component not in used:
            pairs.append((target, component))
            used.add(component)
            last = target
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def match_half_diameter(scene: Scene, _distance: float) -> Pairs:
    """Each component takes the first target closer than half the target's equivalent diameter.

    The equivalent diameter of a target of n pixels is sqrt(4 n / pi). Several components may take
    the same target (MTU-Net).
    """
    radius = np.sqrt(4 * scene.targets.areas / np.pi) / 2
    pairs = scene.nearer(radius.max(initial=0.0))
    pairs = pairs[scene.pair_distances(pairs) < radius[pairs[:, 0]]]
    _, first = np.unique(pairs[:, 1], return_index=True)
    return sort_pairs(pairs[first])


def match_box_centres(scene: Scene, distance: float) -> Pairs:
    """All pairs that share a pixel and whose bounding boxes' centres are within `distance`.

    Neither side is used up (LPNet).
    """
    targets, components = scene.touching.T
    twice = [side.boxes[:, :2] + side.boxes[:, 2:] for side in (scene.targets, scene.predicted)]
    squared = ((twice[0][targets] - twice[1][components]) ** 2).sum(axis=1)
    near: Pairs = scene.touching[squared <= (2 * distance) ** 2]
    return near


def match_corner_window(scene: Scene, _distance: float) -> Pairs:
    """Components in the two rows above and two columns left of a target's rounded centroid.

    The centroid is rounded half to even; without two such rows and columns there is no window
    (RDIAN).
    """
    targets, component = _corner_window(scene, np.rint(scene.targets.centroids).astype(np.int64))
    return np.unique(np.stack([targets, component], axis=1), axis=0)


def turned_hits(scene: Scene) -> int:
    """Whether the last target is hit, its window taken with row and column exchanged (RDIAN)."""
    last = scene.targets.centroids[-1:, ::-1]
    return int(len(_corner_window(scene, np.rint(last).astype(np.int64))[0]) > 0)


def _corner_window(
    scene: Scene, centres: Int64[np.ndarray, "n 2"]
) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    """Position of the centre and predicted component of each pixel of the windows that has one."""
    corner = centres - 2
    shape = scene.predicted.labels.shape
    offsets = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    places = corner[:, None] + offsets
    inside = np.all(corner >= 0, axis=1, keepdims=True) & np.all(places < shape, axis=2)
    owners, _ = np.nonzero(inside)
    component = scene.predicted.labels[tuple(places[inside].T)].astype(np.int64) - 1
    return owners[component >= 0], component[component >= 0]


RULES: dict[Rule, Callable[[Scene, float], Pairs]] = {
    "nearest": match_nearest,
    "first_fit": match_first_fit,
    "half_diameter": match_half_diameter,
    "box_centres": match_box_centres,
    "corner_window": match_corner_window,
    "opdc": match_opdc,
    "opdc_exact": match_opdc_exact,
}
CANDIDATES: dict[Rule, Callable[[Scene, float], Pairs]] = {
    "opdc": opdc_candidates,
    "opdc_exact": opdc_exact_candidates,
}
"""Which pairs the rules of the error analysis could match."""
