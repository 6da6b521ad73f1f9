"""Curves of the targets over the threshold and over the matching distance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64, Int64

from irstd.errors import ConfigError
from irstd.metrics.components import Moments, find_moments, label_components
from irstd.metrics.inputs import (
    Array,
    check_distance,
    check_pair,
    check_threshold,
    exceeded_thresholds,
    target_pixels,
)
from irstd.metrics.matching import match_components
from irstd.metrics.points import PointTargets

SWEEP_COLUMNS = ("images", "pixels", "targets", "predicted", "matched", "unmatched_pixels")


@dataclass(frozen=True)
class TargetCurve:
    """Target-level figures over the threshold, lowest threshold first; NaN for 0 / 0.

    Attributes:
        thresholds: a pixel is predicted where its probability is strictly greater.
        pd: matched targets / targets (ISPANet, eq. 4).
        fa_target: predicted components without a target / predicted components (eq. 24).
        fa_pixel: pixels of components without a target / all pixels.
    """

    thresholds: Float64[np.ndarray, " k"]
    pd: Float64[np.ndarray, " k"]
    fa_target: Float64[np.ndarray, " k"]
    fa_pixel: Float64[np.ndarray, " k"]


@dataclass(frozen=True)
class FreeResponseCurve:
    """P_d over the false alarms per image, highest threshold first.

    Each point is what the detector does at that threshold, with its components and pairs there;
    P_d may fall again where components merge.

    Attributes:
        thresholds: a pixel is predicted where its probability is strictly greater.
        false_per_image: predicted components without a target / images; NaN without images.
        pd: matched targets / targets; NaN without targets.
    """

    thresholds: Float64[np.ndarray, " k"]
    false_per_image: Float64[np.ndarray, " k"]
    pd: Float64[np.ndarray, " k"]


@dataclass(frozen=True)
class DistanceCurve:
    """P_d and P_a over the largest distance of a pair in pixels (ISPANet, Fig. 13)."""

    distances: Float64[np.ndarray, " k"]
    pd: Float64[np.ndarray, " k"]
    pa: Float64[np.ndarray, " k"]


class TargetSweep:
    """Target-level counts at many thresholds.

    An image is labelled only at thresholds where its prediction changes: at those between which
    and the next higher one it has a probability. So there are at most as many labellings as
    thresholds and as distinct probabilities, and the counts are exact at each threshold. Which ones
    a data set needs, `irstd.metrics.peaks` says. Pixels below all thresholds cost next to nothing.

    Attributes:
        thresholds: ascending.
        distance: largest distance between the centroids of a pair, in pixels, inclusive.
    """

    def __init__(self, thresholds: Iterable[float], distance: float) -> None:
        """Start with no image.

        Args:
            thresholds: in [0, 1], in any order.
            distance: in pixels.

        Raises:
            ConfigError: no threshold, one outside [0, 1], a distance negative or not finite.
        """
        self.thresholds = np.unique([check_threshold(threshold) for threshold in thresholds])
        self.distance = check_distance(distance)
        if not len(self.thresholds):
            raise ConfigError("thresholds: expected at least one, got none")
        self._sums = np.zeros((len(self.thresholds), len(SWEEP_COLUMNS)))

    def update(self, probability: Array, mask: Array) -> None:
        """Add one image or batch, (H, W) or (N, 1, H, W).

        Raises:
            DataError: see `irstd.metrics.inputs.check_pair`. Nothing is counted then.
        """
        check_pair(probability, mask)
        images = exceeded_thresholds(probability, self.thresholds)
        for exceeded, target in zip(images, target_pixels(mask), strict=True):
            self._add(exceeded, label_components(target))

    def update_points(self, probability: Float32[np.ndarray, "h w"], targets: PointTargets) -> None:
        """Add one image of whose targets only the places are known: F_a in pixels is NaN then."""
        self._add(exceeded_thresholds(probability, self.thresholds)[0], targets)
        self._sums[:, SWEEP_COLUMNS.index("unmatched_pixels")] = np.nan

    def _add(self, exceeded: Int64[np.ndarray, "h w"], targets: Moments) -> None:
        self._sums[:, :3] += 1, exceeded.size, targets.count
        self._sums[:, 3:] += _count_levels(exceeded, targets, len(self.thresholds), self.distance)

    def merge(self, other: "TargetSweep") -> None:
        """Add the images of another sweep.

        Raises:
            ConfigError: it has other thresholds or another distance.
        """
        same = np.array_equal(self.thresholds, other.thresholds)
        if not same or self.distance != other.distance:
            raise ConfigError(
                f"cannot merge a sweep of {other} into one of {self}: thresholds and distance must "
                "be equal"
            )
        self._sums += other._sums

    def __repr__(self) -> str:
        """Thresholds and distance."""
        low, high = self.thresholds[[0, -1]]
        return f"{len(self.thresholds)} thresholds in [{low:g}, {high:g}] at {self.distance:g} px"

    def curve(self) -> TargetCurve:
        """P_d and F_a over the threshold, lowest threshold first."""
        c = self._columns()
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
            pd, fa_target = c["matched"] / c["targets"], c["false"] / c["predicted"]
            fa_pixel = c["unmatched_pixels"] / c["pixels"]
        return TargetCurve(self.thresholds, pd, fa_target, fa_pixel)

    def free_response(self) -> FreeResponseCurve:
        """P_d over the false alarms per image."""
        c = self._columns()
        with np.errstate(invalid="ignore"):
            false, pd = c["false"] / c["images"], c["matched"] / c["targets"]
        return FreeResponseCurve(self.thresholds[::-1], false[::-1], pd[::-1])

    def _columns(self) -> dict[str, Float64[np.ndarray, " k"]]:
        columns = dict(zip(SWEEP_COLUMNS, self._sums.T, strict=True))
        return columns | {"false": columns["predicted"] - columns["matched"]}


def distance_curve(
    images: Iterable[tuple[Moments, Moments]], distances: Sequence[float]
) -> DistanceCurve:
    """P_d and P_a over the distance threshold.

    Args:
        images: targets and predicted components of each image.
        distances: in pixels.

    Raises:
        ConfigError: a distance is negative or not finite.
    """
    limits = [check_distance(distance) for distance in distances]
    sums = np.zeros((len(limits), 3), dtype=np.int64)
    for targets, predicted in images:
        sums[:, :2] += targets.count, predicted.count
        sums[:, 2] += [len(match_components(targets, predicted, limit)) for limit in limits]
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        pd, pa = sums[:, 2] / sums[:, 0], sums[:, 2] / sums[:, 1]
    return DistanceCurve(np.array(limits, dtype=np.float64), pd, pa)


def _count_levels(
    exceeded: Int64[np.ndarray, "h w"], targets: Moments, n_levels: int, distance: float
) -> Int64[np.ndarray, "k 3"]:
    """Predicted components, pairs, and pixels of components without a target at each threshold."""
    rows, cols = np.nonzero(exceeded)
    levels = exceeded[rows, cols]
    counts = np.zeros((n_levels, 3), dtype=np.int64)
    for below, level in pairwise([0, *np.unique(levels).tolist()]):
        kept = levels >= level
        rows, cols, levels = rows[kept], cols[kept], levels[kept]
        predicted = find_moments(rows, cols, exceeded.shape)
        pairs = match_components(targets, predicted, distance)
        unmatched = len(levels) - predicted.areas[pairs[:, 1]].sum()
        counts[below:level] = predicted.count, len(pairs), unmatched
    return counts
