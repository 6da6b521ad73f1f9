"""From logits on the grid of an image to probability, mask and detections."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage
from scipy.special import expit

from irstd.errors import ModelError
from irstd.metrics.components import label_components
from irstd.metrics.inputs import predicted_pixels
from irstd.types import Detection, Prediction


def probability_of(logits: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """1 / (1 + exp(-logit)), without overflow for any logit."""
    probability: Float32[np.ndarray, "*shape"] = expit(logits)
    return probability


def checked_threshold(threshold: float) -> float:
    """The threshold itself.

    Raises:
        ModelError: it does not lie strictly between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ModelError(f"threshold must lie between 0 and 1, both excluded; got {threshold}")
    return threshold


def predict_from_logits(logits: Float32[np.ndarray, "h w"], threshold: float) -> Prediction:
    """Prediction for one image.

    Args:
        logits: (H, W), on the grid of the image.
        threshold: a pixel belongs to the mask when its probability is strictly above this.

    Raises:
        ModelError: the threshold is not in (0, 1), or a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise ModelError(
            f"the network returned {int((~np.isfinite(logits)).sum())} logits that are not finite; "
            "its weights are broken: train again, or use another model"
        )
    return prediction_of(probability_of(logits), threshold)


def prediction_of(probability: Float32[np.ndarray, "h w"], threshold: float) -> Prediction:
    """Prediction for one image.

    Args:
        probability: (H, W) in [0, 1], on the grid of the image.
        threshold: as for `predict_from_logits`.

    Raises:
        ModelError: the threshold is not in (0, 1).
    """
    (mask,) = predicted_pixels(probability, checked_threshold(threshold))
    return Prediction(probability, mask, detections_of(probability, mask))


def detections_of(
    probability: Float32[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> tuple[Detection, ...]:
    """The 8-connected components of a mask, in raster order of their first pixel.

    Args:
        probability: (H, W) in [0, 1]; its maximum inside a component is the component's score.
        mask: (H, W).
    """
    components = label_components(mask)
    if components.count == 0:
        return ()
    names = np.arange(1, components.count + 1)
    scores: Any = ndimage.maximum(probability, components.labels, names)
    found = zip(
        components.centroids, components.boxes, components.areas, np.asarray(scores), strict=True
    )
    return tuple(
        Detection(
            row=float(centroid[0]),
            col=float(centroid[1]),
            box=(int(box[0]), int(box[1]), int(box[2]), int(box[3])),
            area_px=int(area),
            score=float(score),
        )
        for centroid, box, area, score in found
    )
