"""What is counted in one image.

The counts of images add up; `irstd.metrics.figures` makes figures of the sums.

Reference: ISPANet, IEEE JSTARS 2024, eqs. 1-5 (pixels) and 24-27 (targets), for the counts of the
default convention.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from irstd.errors import DataError
from irstd.metrics.components import Components, label_components
from irstd.metrics.convention import Rule
from irstd.metrics.conventions import ISPANET
from irstd.metrics.figures import evaluate_figures
from irstd.metrics.hierarchical import error_counts
from irstd.metrics.inputs import Array, read_pair
from irstd.metrics.points import PointTargets
from irstd.metrics.rules import CANDIDATES, RULES, match_nearest, turned_hits
from irstd.metrics.scene import Scene

COUNT_COLUMNS = ISPANET.columns
"""Names of the counts of the default convention; see `irstd.metrics.figures.COLUMNS`."""

PIXEL_COUNTS = (
    "tp",
    "fp",
    "fn",
    "unmatched_pixels",
    "overlap",
    "image_iou",
    "image_f1",
    "detected_images",
    "unlike_pixels",
    "pair_iou",
)
"""Counts that need the pixels of the targets; NaN where only their places are known, and so is each
figure that is made of them."""


@dataclass(frozen=True)
class ImageCounts:
    """What is counted in one image.

    Attributes:
        row: the values of COUNT_COLUMNS.
        targets: components of the ground truth.
        predicted: components of the prediction.
        pairs: (target, predicted component) of each detection, positions in the two above.
        overlaps: for each target G the ratio |G and U| / |G or U|, where U is the union of the
            predicted components that share a pixel with G; 0 if there is none (ISPANet, eq. 2,
            read per target); NaN where only the places of the targets are known.
    """

    row: Float64[np.ndarray, " columns"]
    targets: Components
    predicted: Components
    pairs: Int64[np.ndarray, "k 2"]
    overlaps: Float64[np.ndarray, " n"]


def count_image(probability: Array, mask: Array, threshold: float, distance: float) -> ImageCounts:
    """Count one image by the default convention.

    Args:
        probability: (H, W) or (1, 1, H, W), in [0, 1].
        mask: the same shape, 0 or 1.
        threshold: a pixel is predicted where its probability is strictly greater.
        distance: largest distance between the centroids of a pair, in pixels, inclusive.

    Raises:
        DataError: more than one image, or see `irstd.metrics.inputs.check_pair`.
    """
    predicted, target = read_pair(probability, mask, threshold)
    if len(predicted) != 1:
        raise DataError(f"expected one image, got a batch of {len(predicted)}; call once per image")
    return count_components(label_components(target[0]), label_components(predicted[0]), distance)


def count_components(targets: Components, predicted: Components, distance: float) -> ImageCounts:
    """Count one image whose components are known, by the default convention.

    Args:
        targets: components of the ground truth, or `PointTargets`: then all of `PIXEL_COUNTS` are
            NaN.
        predicted: components of the prediction on the same grid.
        distance: largest distance between the centroids of a pair, in pixels, inclusive.
    """
    scene = Scene(targets, predicted)
    pairs = match_nearest(scene, distance)
    values = {**scene_counts(scene), **pair_counts(scene, pairs)}
    overlaps = scene.overlaps
    if isinstance(targets, PointTargets):
        values |= dict.fromkeys(PIXEL_COUNTS, np.nan)
        overlaps = np.full(targets.count, np.nan)
    row = np.array([values[name] for name in COUNT_COLUMNS], dtype=np.float64)
    return ImageCounts(row, targets, predicted, pairs, overlaps)


def scene_counts(scene: Scene) -> dict[str, int | float]:
    """The counts of an image that no match rule changes."""
    targets, predicted = scene.targets, scene.predicted
    n_target_pixels, n_predicted_pixels = len(targets.pixels), len(predicted.pixels)
    tp = scene.tp
    union = n_target_pixels + n_predicted_pixels - tp
    empty, silent = targets.count == 0, predicted.count == 0
    return {
        "images": 1,
        "pixels": targets.labels.size,
        "tp": tp,
        "fp": n_predicted_pixels - tp,
        "fn": n_target_pixels - tp,
        "targets": targets.count,
        "predicted": predicted.count,
        "overlap": float(scene.overlaps.sum()),
        "nonempty_images": union > 0,
        "image_iou": tp / union if union else 0.0,
        "empty_images": empty,
        "false_on_empty": predicted.count if empty else 0,
        "image_f1": _image_f1(tp, n_target_pixels, n_predicted_pixels),
        "detected_images": 2 * tp > union,
        "silent_images": silent,
        "noticed_targets": min(targets.count, 1) if silent else targets.count,
    }


def pair_counts(scene: Scene, pairs: Int64[np.ndarray, "k 2"]) -> dict[str, int | float]:
    """The counts of an image that follow from its pairs, whatever rule made them."""
    areas = scene.predicted.areas
    targets, components = pairs.T
    unmatched = np.ones(len(areas), dtype=bool)
    unmatched[components] = False
    unlike = (areas[:, None] != areas[components]).all(axis=1)
    return {
        "matched": len(np.unique(targets)),
        "matched_components": len(areas) - int(unmatched.sum()),
        "unmatched_pixels": int(areas[unmatched].sum()),
        "unlike_pixels": int(areas[unlike].sum()),
        "pair_iou": float(scene.pair_ious(pairs).sum()),
    }


def rule_counts(scene: Scene, rule: Rule | None, distance: float) -> dict[str, int | float]:
    """The counts of an image that a match rule gives; none without a rule.

    Args:
        scene: the image.
        rule: its key in `irstd.metrics.rules.RULES`.
        distance: in pixels, of no effect where the rule has none.
    """
    if rule is None:
        return {}
    pairs = RULES[rule](scene, distance)
    counts = pair_counts(scene, pairs)
    if rule in CANDIDATES:
        counts |= error_counts(scene, pairs, CANDIDATES[rule](scene, distance))
    if rule == "corner_window":
        counts["turned_hits"] = turned_hits(scene)
    return counts


def figures(sums: Float64[np.ndarray, "*batch columns"]) -> dict[str, Any]:
    """Every figure of the default convention from sums of counts.

    Rates are fractions, NaN where the denominator is 0; `n_*` and `false_on_empty` are counts.

    - `iou` = TP / (TP + FP + FN), `precision` = TP / (TP + FP), `recall` = TP / (TP + FN),
      `f1` = 2 TP / (2 TP + FP + FN), over the pixels of all images.
    - `niou_target` = mean over targets of their overlap (see ImageCounts); `niou_image` = mean of
      the IoU of the images that have a target or a prediction.
    - `pd` = pairs / targets, `md` = 1 - pd; `pa` = pairs / predicted components,
      `fa_target` = 1 - pa; `f1_target` = 2 pairs / (targets + predicted components).
    - `fa_pixel` = pixels of components without a target / all pixels; `fa_pixel_all` = FP / all
      pixels.

    Args:
        sums: the last axis is COUNT_COLUMNS; any axes before it (one row per bootstrap sample,
            say).

    Returns:
        An array of the shape before the last axis for each key.

    Raises:
        DataError: the last axis has another length.
    """
    return dict(evaluate_figures(ISPANET.figures, COUNT_COLUMNS, sums))


def _image_f1(tp: int, n_target: int, n_predicted: int) -> float:
    """F1 of one image with denominators of at least 1, and P + R of at least 0.001 (MDvsFA)."""
    precision, recall = tp / max(1, n_predicted), tp / max(1, n_target)
    return 2 * precision * recall / max(1e-3, precision + recall)
