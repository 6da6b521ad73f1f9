"""A picture of a prediction: each detection framed and its score written beside it."""

import cv2
import numpy as np
from jaxtyping import UInt8

from irstd.types import Detection, Prediction

SMALLEST_SIDE = 512
"""Images whose longer side is below this are enlarged by a whole factor: text stays readable."""
GAP = 3
"""Pixels of the picture between a component's box and its frame: the target stays visible."""
FRAME = (80, 220, 80)  # blue, green, red
TEXT, PAPER = (255, 255, 255), (0, 0, 0)
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42


def draw_overlay(image: np.ndarray, prediction: Prediction) -> UInt8[np.ndarray, "h w 3"]:
    """Draw frames and scores on an image.

    Args:
        image: (H, W), any grey values; stretched from its darkest to its brightest for display.
        prediction: what the network said about it.

    Returns:
        The picture in OpenCV's channel order (blue, green, red), enlarged by a whole factor.
    """
    factor = max(1, -(-SMALLEST_SIDE // max(image.shape)))
    grey = np.kron(_for_display(image), np.ones((factor, factor), np.uint8))
    picture: UInt8[np.ndarray, "h w 3"] = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    for detection in prediction.detections:
        _draw(picture, detection, factor)
    return picture


def _for_display(image: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    values = image.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    stretched: UInt8[np.ndarray, "h w"] = np.rint(
        (values - low) * (255.0 / max(high - low, 1e-12))
    ).astype(np.uint8)
    return stretched


def _draw(picture: UInt8[np.ndarray, "h w 3"], detection: Detection, factor: int) -> None:
    top, left, bottom, right = (side * factor for side in detection.box)
    corner = (left - GAP, top - GAP)
    cv2.rectangle(picture, corner, (right + GAP - 1, bottom + GAP - 1), FRAME, 1)
    text = f"{detection.score:.2f}"
    (width, height), baseline = cv2.getTextSize(text, FONT, FONT_SCALE, 1)
    x = min(max(corner[0], 0), max(picture.shape[1] - width, 0))
    above = corner[1] - baseline - 1
    y = above if above >= height else min(bottom + GAP + height + 2, picture.shape[0] - baseline)
    cv2.rectangle(picture, (x, y - height), (x + width, y + baseline), PAPER, -1)
    cv2.putText(picture, text, (x, y), FONT, FONT_SCALE, TEXT, 1, cv2.LINE_AA)
