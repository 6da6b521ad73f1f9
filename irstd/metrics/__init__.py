"""Metrics of infrared small target detection, on the grid of the original mask."""

from irstd.metrics.conventions import CONVENTIONS
from irstd.metrics.detection import DetectionMetrics
from irstd.metrics.suite import MetricSuite

__all__ = ["CONVENTIONS", "DetectionMetrics", "MetricSuite"]
