"""Counts of one image, and every figure as a ratio of sums of such counts.

Because each figure is a ratio of column sums, parts are merged and images re-sampled (bootstrap)
by adding rows of counts; nothing is divided before the end.

Reference: ISPANet, IEEE JSTARS 2024, eqs. 1-5 (pixels) and 24-27 (targets).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from irstd.errors import DataError
from irstd.metrics.components import Components, label_components
from irstd.metrics.inputs import Array, read_pair
from irstd.metrics.matching import match_components

COUNT_COLUMNS = (
    "images",
    "pixels",
    "tp",  # pixels: predicted and target
    "fp",
    "fn",
    "targets",
    "predicted",  # components
    "matched",  # pairs
    "unmatched_pixels",  # area of the predicted components without a target
    "overlap",  # sum over targets of their overlap, see ImageCounts
    "nonempty_images",  # images with a target or a prediction
    "image_iou",  # IoU of the image, 0 if it is empty
    "empty_images",  # images without target
    "false_on_empty",  # predicted components on those
)


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
            read per target).
    """

    row: Float64[np.ndarray, " columns"]
    targets: Components
    predicted: Components
    pairs: Int64[np.ndarray, "k 2"]
    overlaps: Float64[np.ndarray, " n"]


def count_image(probability: Array, mask: Array, threshold: float, distance: float) -> ImageCounts:
    """Count one image.

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
    """Count one image whose components are known.

    Args:
        targets: components of the ground truth.
        predicted: components of the prediction on the same grid.
        distance: largest distance between the centroids of a pair, in pixels, inclusive.
    """
    pairs = match_components(targets, predicted, distance)
    overlaps, tp = _overlaps(targets, predicted)
    n_target_pixels, n_predicted_pixels = int(targets.areas.sum()), int(predicted.areas.sum())
    union = n_target_pixels + n_predicted_pixels - tp
    empty = targets.count == 0
    values = {
        "images": 1,
        "pixels": targets.labels.size,
        "tp": tp,
        "fp": n_predicted_pixels - tp,
        "fn": n_target_pixels - tp,
        "targets": targets.count,
        "predicted": predicted.count,
        "matched": len(pairs),
        "unmatched_pixels": n_predicted_pixels - int(predicted.areas[pairs[:, 1]].sum()),
        "overlap": overlaps.sum(),
        "nonempty_images": union > 0,
        "image_iou": tp / union if union else 0.0,
        "empty_images": empty,
        "false_on_empty": predicted.count if empty else 0,
    }
    row = np.array([values[name] for name in COUNT_COLUMNS], dtype=np.float64)
    return ImageCounts(row, targets, predicted, pairs, overlaps)


def _overlaps(targets: Components, predicted: Components) -> tuple[Float64[np.ndarray, " n"], int]:
    """Overlap of each target with the components that touch it, and the number of shared pixels."""
    inside = np.flatnonzero(targets.labels > 0)
    target = targets.labels.ravel()[inside].astype(np.int64) - 1
    other = predicted.labels.ravel()[inside].astype(np.int64) - 1
    hit = other >= 0
    shared = np.bincount(target[hit], minlength=targets.count)
    touching = np.unique(target[hit] * max(predicted.count, 1) + other[hit])
    touched_by, component = np.divmod(touching, max(predicted.count, 1))
    reached = np.bincount(touched_by, weights=predicted.areas[component], minlength=targets.count)
    return shared / (targets.areas + reached - shared), int(hit.sum())


def figures(sums: Float64[np.ndarray, "*batch columns"]) -> dict[str, Any]:
    """Every figure from sums of counts.

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
    if sums.shape[-1:] != (len(COUNT_COLUMNS),):
        raise DataError(
            f"sums: expected a last axis of {len(COUNT_COLUMNS)} columns "
            f"({', '.join(COUNT_COLUMNS)}), got shape {sums.shape}"
        )
    c = dict(zip(COUNT_COLUMNS, np.moveaxis(sums, -1, 0), strict=True))
    return {
        "iou": _ratio(c["tp"], c["tp"] + c["fp"] + c["fn"]),
        "precision": _ratio(c["tp"], c["tp"] + c["fp"]),
        "recall": _ratio(c["tp"], c["tp"] + c["fn"]),
        "f1": _ratio(2 * c["tp"], 2 * c["tp"] + c["fp"] + c["fn"]),
        "niou_target": _ratio(c["overlap"], c["targets"]),
        "niou_image": _ratio(c["image_iou"], c["nonempty_images"]),
        "pd": _ratio(c["matched"], c["targets"]),
        "md": _ratio(c["targets"] - c["matched"], c["targets"]),
        "pa": _ratio(c["matched"], c["predicted"]),
        "fa_target": _ratio(c["predicted"] - c["matched"], c["predicted"]),
        "f1_target": _ratio(2 * c["matched"], c["targets"] + c["predicted"]),
        "fa_pixel": _ratio(c["unmatched_pixels"], c["pixels"]),
        "fa_pixel_all": _ratio(c["fp"], c["pixels"]),
        "n_images": c["images"],
        "n_targets": c["targets"],
        "n_predicted": c["predicted"],
        "n_empty_images": c["empty_images"],
        "false_on_empty": c["false_on_empty"],
    }


def _ratio(numerator: Any, denominator: Any) -> Any:
    return np.divide(
        numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0
    )
