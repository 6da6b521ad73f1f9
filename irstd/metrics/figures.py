"""Figures as functions of sums of counts, written as data.

Every figure of every convention is made of a few forms: a sum of counts, a ratio of two such sums,
a harmonic mean of two ratios, an area under a curve of ratios. Each form is computed here once;
`irstd.metrics.conventions` says which counts go where. Since only sums enter, parts are merged and
images re-sampled by adding counts, and nothing is divided before the end.

A sum of counts is written as its column names with a space between them: "tp fp fn" is TP + FP +
FN, "targets -matched" is a difference and "2*tp" a multiple.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from irstd.errors import DataError

CURVE_STEPS = 200  # of the histogram that all published ROC curves are read from
CURVE_THRESHOLDS = tuple(k / CURVE_STEPS for k in range(CURVE_STEPS + 1))
COLUMNS = (
    "images",
    "pixels",
    "tp",  # pixels: predicted and target
    "fp",
    "fn",
    "targets",
    "predicted",  # components
    "matched",  # targets that the match rule calls detected
    "unmatched_pixels",  # area of the predicted components without a target
    "overlap",  # sum over targets of their overlap, see `irstd.metrics.counts.ImageCounts`
    "nonempty_images",  # images with a target or a prediction
    "image_iou",  # IoU of the image, 0 if it is empty
    "empty_images",  # images without target
    "false_on_empty",  # predicted components on those
    "image_f1",  # F1 of the image, 0 without a shared pixel
    "detected_images",  # images with an IoU above 1/2
    "silent_images",  # images without prediction
    "noticed_targets",  # targets, at most one in an image without prediction
    "matched_components",  # predicted components that have a target
    "unlike_pixels",  # as unmatched_pixels, less those of components as large as a matched one
    "pair_iou",  # sum over pairs of the IoU of target and component
    "lone_components",  # without a candidate target
    "lone_targets",  # without a candidate component
    "pair_merged",  # sums over pairs, each divided by the union: component on other targets,
    "pair_false",  # component on background,
    "pair_missed",  # target outside the component
    "turned_hits",  # whether the last target is hit with row and column exchanged (RDIAN)
)
"""What can be counted in an image; the definitions are in `irstd.metrics.counts`."""
BINS = {
    side: tuple(f"{side}_bin_{k}" for k in range(CURVE_STEPS + 1))
    for side in ("target", "background")
}
"""Columns of the histogram of `irstd.metrics.histogram.ScoreHistogram`."""

Values = Any  # an array of float64, or a NumPy scalar where it would have no axis
Counts = Mapping[str, Values]


@dataclass(frozen=True)
class Total:
    """A sum of counts."""

    terms: str

    @property
    def columns(self) -> frozenset[str]:
        """Names of the counts that it needs."""
        return frozenset(name for _, name in _parse(self.terms))

    def __call__(self, counts: Counts) -> Values:
        """Value for each entry of the counts."""
        parsed = _parse(self.terms)
        factor, name = parsed[0]
        total = factor * counts[name]
        for factor, name in parsed[1:]:
            total = total + factor * counts[name]
        return total


@dataclass(frozen=True)
class Ratio:
    """numerator / (denominator + epsilon).

    Attributes:
        numerator: sum of counts.
        denominator: sum of counts.
        epsilon: added to the denominator.
        empty: value where the denominator is 0.
        needs: a count; the figure is NaN where it is 0. Empty for none.
    """

    numerator: str
    denominator: str
    epsilon: float = 0.0
    empty: float = float("nan")
    needs: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """Names of the counts that it needs."""
        terms = f"{self.numerator} {self.denominator} {self.needs}".rstrip()
        return Total(terms).columns

    def __call__(self, counts: Counts) -> Values:
        """Value for each entry of the counts."""
        value = _divide(
            Total(self.numerator)(counts),
            Total(self.denominator)(counts) + self.epsilon,
            self.empty,
        )
        return np.where(counts[self.needs] > 0, value, np.nan) if self.needs else value


@dataclass(frozen=True)
class Harmonic:
    """2 a b / (a + b + epsilon), NaN for 0/0."""

    first: Ratio
    second: Ratio
    epsilon: float = 0.0

    @property
    def columns(self) -> frozenset[str]:
        """Names of the counts that it needs."""
        return self.first.columns | self.second.columns

    def __call__(self, counts: Counts) -> Values:
        """Value for each entry of the counts."""
        a, b = self.first(counts), self.second(counts)
        return _divide(2 * a * b, a + b + self.epsilon, float("nan"))


@dataclass(frozen=True)
class RateCurve:
    """Rates of the pixels over the threshold, lowest threshold first.

    Attributes:
        thresholds: a pixel is predicted where its probability is strictly greater.
        tpr: TP / (TP + FN + epsilon), the recall.
        fpr: FP / (FP + TN + epsilon).
        precision: TP / (TP + FP + epsilon).
        false_alarm: FP / (all pixels + an epsilon of its own).
    """

    thresholds: Float64[np.ndarray, " k"]
    tpr: Float64[np.ndarray, "... k"]
    fpr: Float64[np.ndarray, "... k"]
    precision: Float64[np.ndarray, "... k"]
    false_alarm: Float64[np.ndarray, "... k"]


@dataclass(frozen=True)
class RocArea:
    """Area under the ROC curve by the trapezoid rule between its own points alone."""

    epsilon: float

    @property
    def columns(self) -> frozenset[str]:
        """Names of the counts that it needs."""
        return frozenset(BINS["target"] + BINS["background"])

    def __call__(self, counts: Counts) -> Values:
        """Value for each entry of the counts."""
        target, background = (
            np.stack([counts[name] for name in BINS[side]], axis=-1) for side in BINS
        )
        curve = rate_curve(target, background, CURVE_THRESHOLDS, self.epsilon)
        return np.asarray(-np.trapezoid(curve.tpr, curve.fpr, axis=-1), dtype=np.float64)


Figure = Total | Ratio | Harmonic | RocArea


def evaluate_figures(
    figures: Mapping[str, Figure], columns: tuple[str, ...], sums: Float64[np.ndarray, "*batch c"]
) -> dict[str, Values]:
    """Compute figures from sums of counts.

    Args:
        figures: by key.
        columns: names of the last axis of `sums`.
        sums: any axes before the last (one row per bootstrap sample, say).

    Returns:
        An array of the shape before the last axis for each key.

    Raises:
        DataError: the last axis has another length.
    """
    if sums.shape[-1:] != (len(columns),):
        raise DataError(
            f"sums: expected a last axis of {len(columns)} columns "
            f"({', '.join(columns[: len(COLUMNS)])}), got shape {sums.shape}"
        )
    counts = dict(zip(columns, np.moveaxis(sums, -1, 0), strict=True))
    return {key: figure(counts) for key, figure in figures.items()}


def rate_curve(
    target: Int64[np.ndarray, "... b"] | Float64[np.ndarray, "... b"],
    background: Int64[np.ndarray, "... b"] | Float64[np.ndarray, "... b"],
    thresholds: Sequence[float],
    epsilon: float,
    pixel_epsilon: float = 0.0,
    stride: int = 1,
) -> RateCurve:
    """Rates at each threshold, or at each n-th.

    Args:
        target: number of target pixels that exceed 0, 1, 2, ... of the thresholds, as in the bins
            of `irstd.metrics.histogram.ScoreHistogram`.
        background: the same of background pixels.
        thresholds: ascending.
        epsilon: added to the denominators of `tpr`, `fpr` and `precision`.
        pixel_epsilon: added to that of `false_alarm`.
        stride: n.
    """
    n_target, n_background = (side.sum(axis=-1, keepdims=True) for side in (target, background))
    tp, fp = (
        (whole - np.cumsum(side, axis=-1))[..., : len(thresholds) : stride]
        for whole, side in ((n_target, target), (n_background, background))
    )
    with np.errstate(invalid="ignore"):  # without images
        false_alarm = fp / (n_target + n_background + pixel_epsilon)
    return RateCurve(
        np.array(thresholds[::stride], dtype=np.float64),
        tp / (n_target + epsilon),
        fp / (n_background + epsilon),
        tp / (tp + fp + epsilon),
        false_alarm,
    )


@cache
def _parse(terms: str) -> tuple[tuple[float, str], ...]:
    parsed = []
    for term in terms.split():
        factor, _, name = term.rpartition("*")
        sign = -1.0 if name.startswith("-") else 1.0
        parsed.append((sign * float(factor or 1), name.removeprefix("-")))
    return tuple(parsed)


def _divide(numerator: Values, denominator: Values, empty: float) -> Values:
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    found = np.full(shape, empty)
    np.divide(numerator, denominator, out=found, where=denominator > 0)
    return found
