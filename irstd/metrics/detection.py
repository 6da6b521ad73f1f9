"""The figures of a data set by one convention, gathered image by image."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from irstd.metrics.curves import DistanceCurve
from irstd.metrics.figures import RateCurve, Values
from irstd.metrics.inputs import Array
from irstd.metrics.suite import MetricSuite
from irstd.metrics.sweeps import SweptFigures


class DetectionMetrics:
    """Pixel and target figures over a data set: a `MetricSuite` of one convention.

    Attributes:
        convention: name of the way of counting.
        threshold: of the probability; a pixel is predicted strictly above it (`lpnet`: at it too).
        distance: largest distance of a target and its detection in pixels, inclusive or not as
            the convention says; infinite where it has none.
    """

    def __init__(
        self,
        convention: str = "ispanet",
        threshold: float = 0.5,
        distance: float | None = None,
        size: int | None = None,
        target_curves: bool = False,
    ) -> None:
        """Start with no image; arguments and errors as in `MetricSuite`."""
        self._suite = MetricSuite([convention], threshold, distance, size, target_curves)
        self.convention = convention
        self.threshold = self._suite.threshold
        self.distance = self._suite.conventions[convention].distance_px

    def update(self, probability: Array, mask: Array) -> None:
        """Count one image or a batch; see `MetricSuite.update`."""
        self._suite.update(probability, mask)

    def merge(self, other: "DetectionMetrics") -> None:
        """Add the images that another object has counted; see `MetricSuite.merge`."""
        self._suite.merge(other._suite)

    def reset(self) -> None:
        """Forget all images."""
        self._suite.reset()

    def compute(self) -> dict[str, float]:
        """The figures of the convention by key; NaN where undefined."""
        return self._suite.compute()[self.convention]

    def figures(self, sums: Float64[np.ndarray, "*batch columns"]) -> dict[str, Values]:
        """The figures from sums of rows of `table`; see `MetricSuite.figures`."""
        return self._suite.figures(self.convention, sums)

    @property
    def table(self) -> Float64[np.ndarray, "images columns"]:
        """Counts of each image in the order of the updates; columns as in the convention's."""
        return self._suite.table(self.convention)

    def roc(self) -> RateCurve:
        """ROC of the published code; see `MetricSuite.roc`."""
        return self._suite.roc(self.convention)

    def target_curve(self) -> SweptFigures:
        """Target-level curve of the published code; see `MetricSuite.target_curve`."""
        return self._suite.target_curve(self.convention)

    def distance_curve(self, distances: Sequence[float]) -> DistanceCurve:
        """P_d and P_a over the distance threshold; see `MetricSuite.distance_curve`."""
        return self._suite.distance_curve(distances)
