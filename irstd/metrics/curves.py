"""Curves over the threshold and over the matching distance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from irstd.errors import ConfigError
from irstd.metrics.components import Moments, label_components
from irstd.metrics.counts import COUNT_COLUMNS, count_components, figures
from irstd.metrics.inputs import (
    Array,
    check_distance,
    check_pair,
    check_threshold,
    predicted_pixels,
    target_pixels,
)
from irstd.metrics.matching import match_components

DEFAULT_BINS = 1024  # a power of two: the threshold k / 1024 is compared without rounding


@dataclass(frozen=True)
class RocCurve:
    """True against false positive rate of the pixels, highest threshold first.

    Attributes:
        thresholds: a pixel is predicted where its probability is strictly greater.
        tpr: TP / (TP + FN); NaN without target pixels.
        fpr: FP / (FP + TN); NaN without background pixels.
        auc: area by the trapezoid rule, the point (1, 1) of an all-foreground prediction included.
    """

    thresholds: Float64[np.ndarray, " k"]
    tpr: Float64[np.ndarray, " k"]
    fpr: Float64[np.ndarray, " k"]
    auc: float


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision and recall of the pixels, highest threshold first.

    Attributes:
        thresholds: a pixel is predicted where its probability is strictly greater.
        precision: TP / (TP + FP); NaN where nothing is predicted.
        recall: TP / (TP + FN); NaN without target pixels.
        average_precision: sum of precision times the step in recall, the all-foreground
            prediction included.
    """

    thresholds: Float64[np.ndarray, " k"]
    precision: Float64[np.ndarray, " k"]
    recall: Float64[np.ndarray, " k"]
    average_precision: float


@dataclass(frozen=True)
class TargetCurve:
    """Target-level figures over the threshold, each as in `irstd.metrics.counts.figures`."""

    thresholds: Float64[np.ndarray, " k"]
    pd: Float64[np.ndarray, " k"]
    fa_target: Float64[np.ndarray, " k"]
    fa_pixel: Float64[np.ndarray, " k"]


@dataclass(frozen=True)
class DistanceCurve:
    """P_d and P_a over the largest distance of a pair in pixels (ISPANet, Fig. 13)."""

    distances: Float64[np.ndarray, " k"]
    pd: Float64[np.ndarray, " k"]
    pa: Float64[np.ndarray, " k"]


class ScoreHistogram:
    """Probabilities of target and background pixels in bins: one pass gives all pixel-level curves.

    A probability p falls into bin ceil(p * bins), which is the number of thresholds k / bins, k =
    0, 1, ..., that it exceeds; so counts at those thresholds are exact and not interpolated.

    Attributes:
        bins: number of steps between threshold 0 and threshold 1.
        background: number of background pixels in each bin.
        target: number of target pixels in each bin.
    """

    def __init__(self, bins: int = DEFAULT_BINS) -> None:
        """Start with no pixel.

        Raises:
            ConfigError: fewer than one bin.
        """
        if bins < 1:
            raise ConfigError(f"bins: expected at least 1, got {bins}")
        self.bins = bins
        self.background = np.zeros(bins + 1, dtype=np.int64)
        self.target = np.zeros(bins + 1, dtype=np.int64)

    def update(self, probability: Array, mask: Array) -> None:
        """Add the pixels of one image or batch, (H, W) or (N, 1, H, W); binned where the map lies.

        Raises:
            DataError: see `irstd.metrics.inputs.check_pair`.
        """
        check_pair(probability, mask)
        background, target = _bin_pixels(probability, target_pixels(mask).ravel(), self.bins)
        self.background += background
        self.target += target

    def merge(self, other: "ScoreHistogram") -> None:
        """Add the pixels of another histogram.

        Raises:
            ConfigError: it has another number of bins.
        """
        if self.bins != other.bins:
            raise ConfigError(
                f"cannot merge a histogram of {other.bins} bins into one of {self.bins}"
            )
        self.background += other.background
        self.target += other.target

    def roc(self) -> RocCurve:
        """ROC at the thresholds k / bins."""
        tp, fp = _above(self.target), _above(self.background)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
            tpr, fpr = tp / tp[-1], fp / fp[-1]
        return RocCurve(self._thresholds, tpr[:-1], fpr[:-1], auc=float(np.trapezoid(tpr, fpr)))

    def pr(self) -> PrecisionRecallCurve:
        """Precision and recall at the thresholds k / bins."""
        tp, fp = _above(self.target), _above(self.background)
        with np.errstate(invalid="ignore"):
            precision, recall = tp / (tp + fp), tp / tp[-1]
        steps = np.diff(recall, prepend=0.0)
        average = float(np.where(steps == 0, 0.0, steps * precision).sum())
        return PrecisionRecallCurve(self._thresholds, precision[:-1], recall[:-1], average)

    @property
    def _thresholds(self) -> Float64[np.ndarray, " k"]:
        return np.arange(self.bins, -1, -1) / self.bins


def target_curve(
    samples: Iterable[tuple[Array, Array]], thresholds: Sequence[float], distance: float
) -> TargetCurve:
    """Target-level figures over the threshold; each image is labelled once per threshold.

    Args:
        samples: probability and mask of each image or batch, (H, W) or (N, 1, H, W).
        thresholds: in [0, 1].
        distance: largest distance between the centroids of a pair, in pixels, inclusive.

    Raises:
        ConfigError: a threshold outside [0, 1], a distance negative or not finite.
        DataError: see `irstd.metrics.inputs.check_pair`.
    """
    levels = [check_threshold(threshold) for threshold in thresholds]
    limit = check_distance(distance)
    sums = np.zeros((len(levels), len(COUNT_COLUMNS)))
    for probability, mask in samples:
        check_pair(probability, mask)
        targets = [label_components(image) for image in target_pixels(mask)]
        for total, level in zip(sums, levels, strict=True):
            for image, image_targets in zip(
                predicted_pixels(probability, level), targets, strict=True
            ):
                total += count_components(image_targets, label_components(image), limit).row
    found = figures(sums)
    return TargetCurve(
        np.array(levels, dtype=np.float64), found["pd"], found["fa_target"], found["fa_pixel"]
    )


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
    sums = np.zeros((len(limits), len(COUNT_COLUMNS)))
    column = {name: sums[:, position] for position, name in enumerate(COUNT_COLUMNS)}
    for targets, predicted in images:
        column["targets"] += targets.count
        column["predicted"] += predicted.count
        column["matched"] += [len(match_components(targets, predicted, limit)) for limit in limits]
    found = figures(sums)
    return DistanceCurve(np.array(limits, dtype=np.float64), found["pd"], found["pa"])


def _above(counts: Int64[np.ndarray, " b"]) -> Int64[np.ndarray, " b_and_all"]:
    """Pixels above the thresholds 1, ..., 1 / bins, 0, and all pixels."""
    return np.concatenate([[0], np.cumsum(counts[::-1])])


def _bin_pixels(probability: Array, target: np.ndarray, bins: int) -> Int64[np.ndarray, "2 b"]:
    """Histogram of the bins of background and target pixels."""
    n_codes = 2 * (bins + 1)
    if isinstance(probability, Tensor):
        level = torch.ceil(probability.detach().double() * bins).long().flatten()
        code = level + (bins + 1) * torch.from_numpy(target).to(probability.device)
        counts = torch.bincount(code, minlength=n_codes).cpu().numpy()
    else:
        bin_of = np.ceil(probability.astype(np.float64) * bins).astype(np.int64).ravel()
        counts = np.bincount(bin_of + (bins + 1) * target, minlength=n_codes)
    return counts.reshape(2, bins + 1)
