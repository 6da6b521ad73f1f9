"""The targets and predicted components of one image, and what relates them.

Pairs are arrays of (target, component), positions in the two lists. What several match rules need
is computed when first asked for and kept.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from irstd.metrics.components import Components
from irstd.metrics.matching import Candidates, find_candidates

ROUNDING_MARGIN_PX = 0.5  # more than any rounding of a distance

Pairs = Int64[np.ndarray, "k 2"]


@dataclass(frozen=True)
class Scene:
    """One image.

    Attributes:
        targets: components of the ground truth.
        predicted: components of the prediction on the same grid.
    """

    targets: Components
    predicted: Components
    _found: dict[tuple[float, bool], Candidates] = field(
        default_factory=dict, init=False, repr=False
    )

    @cached_property
    def touching(self) -> Pairs:
        """The pairs that share a pixel, sorted."""
        targets, components = np.divmod(self._contacts[0][:-1], max(self.predicted.count, 1))
        return np.stack([targets, components], axis=1)

    @property
    def tp(self) -> int:
        """Number of pixels that are predicted and target."""
        return int(self._contacts[1].sum())

    @cached_property
    def overlaps(self) -> Float64[np.ndarray, " n"]:
        """|G and U| / |G or U| of each target G, U the union of the components that touch it."""
        targets, components = self.touching.T
        n_targets, areas = self.targets.count, self.predicted.areas[components]
        shared = np.bincount(targets, weights=self._contacts[1][:-1], minlength=n_targets)
        reached = np.bincount(targets, weights=areas, minlength=n_targets)
        overlaps: Float64[np.ndarray, " n"] = shared / (self.targets.areas + reached - shared)
        return overlaps

    @cached_property
    def on_targets(self) -> Int64[np.ndarray, " m"]:
        """Number of target pixels in each component."""
        components = self.touching[:, 1]
        pixels = np.bincount(components, self._contacts[1][:-1], minlength=self.predicted.count)
        return pixels.astype(np.int64)

    @cached_property
    def distances(self) -> Float64[np.ndarray, "n m"]:
        """Distance of all centroids in pixels, in floating point as published codes compute it."""
        return _length(self.targets.centroids[:, None] - self.predicted.centroids)

    def pair_distances(self, pairs: Pairs) -> Float64[np.ndarray, " k"]:
        """Entries of `distances`."""
        return _length(self.targets.centroids[pairs[:, 0]] - self.predicted.centroids[pairs[:, 1]])

    def pair_shared(self, pairs: Pairs) -> Int64[np.ndarray, " k"]:
        """Number of pixels that target and component share."""
        known, pixels = self._contacts
        keys = pairs[:, 0] * self.predicted.count + pairs[:, 1]
        position = np.searchsorted(known[:-1], keys)
        return np.where(known[position] == keys, pixels[position], 0)

    def pair_unions(self, pairs: Pairs) -> Int64[np.ndarray, " k"]:
        """Number of pixels of target and component together."""
        areas = self.targets.areas[pairs[:, 0]] + self.predicted.areas[pairs[:, 1]]
        unions: Int64[np.ndarray, " k"] = areas - self.pair_shared(pairs)
        return unions

    def pair_ious(self, pairs: Pairs) -> Float64[np.ndarray, " k"]:
        """Intersection over union of target and component."""
        ious: Float64[np.ndarray, " k"] = self.pair_shared(pairs) / self.pair_unions(pairs)
        return ious

    def nearer(self, distance: float) -> Pairs:
        """The pairs whose distance in floating point is below `distance` pixels, sorted."""
        found = self._near(distance + ROUNDING_MARGIN_PX, strict=False)
        pairs = sort_pairs(np.stack([found.targets, found.predicted], axis=1))
        return pairs[self.pair_distances(pairs) < distance]

    def exactly_nearer(self, distance: float) -> Candidates:
        """The pairs closer than `distance` pixels, decided in integers, in any order."""
        return self._near(distance, strict=True)

    def _near(self, distance: float, *, strict: bool) -> Candidates:
        limit = distance, strict
        if limit not in self._found:
            self._found[limit] = find_candidates(self.targets, self.predicted, *limit)
        return self._found[limit]

    @cached_property
    def _contacts(self) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
        """Touching pairs as target * m + component, ascending, and the pixels that they share.

        A last entry of no pair stands for all pairs that do not touch.
        """
        target = self.targets.labels.ravel()[self.targets.pixels].astype(np.int64) - 1
        component = self.predicted.labels.ravel()[self.targets.pixels] - 1
        hit = component >= 0
        keys, pixels = np.unique(
            target[hit] * self.predicted.count + component[hit], return_counts=True
        )
        return np.append(keys, -1), np.append(pixels, 0)


def sort_pairs(pairs: Pairs) -> Pairs:
    """By target, then by component."""
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _length(offsets: Float64[np.ndarray, "... 2"]) -> Float64[np.ndarray, "..."]:
    length: Float64[np.ndarray, ...] = np.sqrt(offsets[..., 0] ** 2 + offsets[..., 1] ** 2)
    return length
