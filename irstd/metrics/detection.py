"""The figures of a data set, gathered image by image."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from irstd.errors import ConfigError
from irstd.metrics.components import Moments, label_components
from irstd.metrics.conventions import find_convention
from irstd.metrics.counts import COUNT_COLUMNS, count_components, figures
from irstd.metrics.curves import DistanceCurve, distance_curve
from irstd.metrics.inputs import Array, check_distance, check_threshold, read_pair


class DetectionMetrics:
    """Pixel and target figures over a data set.

    Counts are kept per image and added without rounding error when figures are asked for, so
    neither the order of the images nor the way they are shared among workers changes a figure.

    Attributes:
        convention: name of the way of counting.
        threshold: a pixel is predicted where its probability is strictly greater.
        distance: largest distance between the centroids of a target and its detection, in pixels,
            inclusive.
    """

    def __init__(
        self, convention: str = "ispanet", threshold: float = 0.5, distance: float | None = None
    ) -> None:
        """Start with no image.

        Args:
            convention: key of `irstd.metrics.conventions.CONVENTIONS`.
            threshold: in [0, 1].
            distance: in pixels; None for the convention's own.

        Raises:
            ConfigError: unknown convention, threshold outside [0, 1], distance negative or not
                finite.
        """
        own_distance = find_convention(convention).distance_px
        self.convention = convention
        self.threshold = check_threshold(threshold)
        self.distance = check_distance(own_distance if distance is None else distance)
        self._rows: list[Float64[np.ndarray, " columns"]] = []
        self._moments: list[tuple[Moments, Moments]] = []

    def update(self, probability: Array, mask: Array) -> None:
        """Count one image or a batch; sizes may differ from call to call.

        Args:
            probability: (H, W) or (N, 1, H, W), in [0, 1], NumPy or torch, on any device.
            mask: the same shape, 1 on target pixels and 0 elsewhere.

        Raises:
            DataError: shapes that differ or are of another form, probabilities outside [0, 1] or
                NaN, mask values other than 0 and 1. Nothing is counted then.
        """
        predicted, target = read_pair(probability, mask, self.threshold)
        for predicted_image, target_image in zip(predicted, target, strict=True):
            counts = count_components(
                label_components(target_image), label_components(predicted_image), self.distance
            )
            self._rows.append(counts.row)
            self._moments.append((counts.targets.moments, counts.predicted.moments))

    def merge(self, other: "DetectionMetrics") -> None:
        """Add the images that another object has counted.

        Raises:
            ConfigError: it counts by another convention, threshold or distance.
        """
        if self._settings != other._settings:
            raise ConfigError(
                "cannot merge figures counted in different ways: (convention, threshold, distance) "
                f"is {self._settings} here and {other._settings} there"
            )
        self._rows.extend(other._rows)
        self._moments.extend(other._moments)

    def reset(self) -> None:
        """Forget all images."""
        self._rows.clear()
        self._moments.clear()

    def compute(self) -> dict[str, float]:
        """The figures of `irstd.metrics.counts.figures`; NaN where undefined."""
        sums = np.array([math.fsum(column) for column in self.table.T])
        return {name: float(value) for name, value in figures(sums).items()}

    @property
    def table(self) -> Float64[np.ndarray, "images columns"]:
        """Counts of each image in the order of the updates; columns are COUNT_COLUMNS."""
        return np.array(self._rows, dtype=np.float64).reshape(-1, len(COUNT_COLUMNS))

    def distance_curve(self, distances: Sequence[float]) -> DistanceCurve:
        """P_d and P_a over the distance threshold (ISPANet, Fig. 13).

        Args:
            distances: in pixels.

        Raises:
            ConfigError: a distance is negative or not finite.
        """
        return distance_curve(self._moments, distances)

    @property
    def _settings(self) -> tuple[str, float, float]:
        return self.convention, self.threshold, self.distance
