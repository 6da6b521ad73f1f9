"""Curves of the pixels over the threshold, all from one histogram of the scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int32, Int64
from torch import Tensor

from irstd.errors import ConfigError
from irstd.metrics.inputs import Array, check_pair, exceeded_thresholds, target_pixels

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
class OverlapCurve:
    """F1 and IoU of the pixels, highest threshold first (ISPANet, eqs. 1 and 3).

    Attributes:
        thresholds: a pixel is predicted where its probability is strictly greater.
        f1: 2 TP / (2 TP + FP + FN); NaN with neither target nor predicted pixels.
        iou: TP / (TP + FP + FN); NaN likewise.
    """

    thresholds: Float64[np.ndarray, " k"]
    f1: Float64[np.ndarray, " k"]
    iou: Float64[np.ndarray, " k"]


class ScoreHistogram:
    """Probabilities of target and background pixels in bins: one pass gives all pixel-level curves.

    The bin of a probability is the number of thresholds k / bins, k = 0, 1, ..., that it exceeds,
    compared in float64; so counts at those thresholds are exact and not interpolated. The
    memory does not depend on the number of images.

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
        target, background = bin_pixels(probability, mask, self.bins)
        self.target += target
        self.background += background

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
        tp, fp = self._above()
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
            tpr, fpr = tp / tp[-1], fp / fp[-1]
        return RocCurve(self._thresholds, tpr[:-1], fpr[:-1], auc=float(np.trapezoid(tpr, fpr)))

    def pr(self) -> PrecisionRecallCurve:
        """Precision and recall at the thresholds k / bins."""
        tp, fp = self._above()
        with np.errstate(invalid="ignore"):
            precision, recall = tp / (tp + fp), tp / tp[-1]
        steps = np.diff(recall, prepend=0.0)
        average = float(np.where(steps == 0, 0.0, steps * precision).sum())
        return PrecisionRecallCurve(self._thresholds, precision[:-1], recall[:-1], average)

    def overlap(self) -> OverlapCurve:
        """F1 and IoU at the thresholds k / bins."""
        tp, fp = self._above()
        union = fp + tp[-1]  # TP + FP + FN
        with np.errstate(invalid="ignore"):
            f1, iou = 2 * tp / (tp + union), tp / union
        return OverlapCurve(self._thresholds, f1[:-1], iou[:-1])

    @property
    def _thresholds(self) -> Float64[np.ndarray, " k"]:
        return np.arange(self.bins, -1, -1) / self.bins

    def _above(self) -> tuple[Int64[np.ndarray, " b_and_all"], Int64[np.ndarray, " b_and_all"]]:
        """Target and background pixels above 1, ..., 1 / bins, 0, and all of them."""
        counts = np.stack([self.target, self.background])
        tp, fp = np.cumsum(np.pad(counts[:, ::-1], ((0, 0), (1, 0))), axis=1)
        return tp, fp


def bin_pixels(probability: Array, mask: Array, bins: int) -> Int64[np.ndarray, "2 b"]:
    """Target and background pixels of a checked pair in each bin of a `ScoreHistogram`."""
    if isinstance(probability, Tensor):
        level = _tensor_levels(probability.detach(), bins).flatten()
        inside = torch.as_tensor(mask, device=level.device).flatten() > 0
        both = [torch.bincount(x, minlength=bins + 1) for x in (level, level[inside])]
        everything, target = torch.stack(both).cpu().numpy()
    else:
        levels = _levels(probability, bins)
        pixels = levels.ravel(), levels[target_pixels(mask).reshape(levels.shape)]
        everything, target = (np.bincount(x, minlength=bins + 1) for x in pixels)
    return np.stack([target, everything - target])


def count_exceeded(
    probability: Array, mask: Array, thresholds: Sequence[float]
) -> Int64[np.ndarray, "2 b"]:
    """Target and background pixels of a checked pair that exceed 0, 1, 2, ... of the thresholds.

    Args:
        probability: (H, W) or (N, 1, H, W).
        mask: the same shape.
        thresholds: ascending, any others than those of a `ScoreHistogram`.
    """
    exceeded = exceeded_thresholds(probability, np.asarray(thresholds, dtype=np.float64))
    pixels = exceeded.ravel(), exceeded[target_pixels(mask)]
    everything, target = (np.bincount(x, minlength=len(thresholds) + 1) for x in pixels)
    return np.stack([target, everything - target])


def _levels(probability: np.ndarray, bins: int) -> Int32[np.ndarray, "..."]:
    scaled = np.multiply(probability, bins, dtype=np.float64)
    # few large arrays: most time is memory
    levels: Int32[np.ndarray, ...] = np.ceil(scaled, out=scaled).astype(np.int32)
    if not _is_exact(probability.dtype.itemsize, bins):
        thresholds = np.arange(bins + 1) / bins
        below = np.concatenate([[-1.0], thresholds])[levels]
        levels += (probability > thresholds[levels]).astype(np.int32) - (probability <= below)
    return levels


def _tensor_levels(probability: Tensor, bins: int) -> Tensor:
    values = probability.double()
    if _is_exact(probability.dtype.itemsize, bins):
        return torch.ceil(values * bins).long()
    thresholds = torch.arange(bins + 1, dtype=values.dtype, device=values.device) / bins
    return torch.bucketize(values, thresholds)


def _is_exact(itemsize: int, bins: int) -> bool:
    """Whether the product of a probability and `bins` is not rounded in float64.

    Of float32 it is not (24 bits of it, at most 29 of `bins`), nor by a power of two.
    """
    return itemsize < 8 or bins.bit_count() == 1
