"""Metrics of infrared small target detection, on the grid of the original mask."""

from irstd.metrics.detection import DetectionMetrics

__all__ = ["DetectionMetrics"]
