"""Boxes, centres and classes beside the masks (ISPANet, section III: labels and class balance)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from scipy import ndimage

from irstd.data.index import label_targets

UNKNOWN = "unknown"


def target_labels(mask: UInt8[np.ndarray, "h w"]) -> list[dict[str, Any]]:
    """Box, centre and area of each target, in the order of `label_targets`.

    Args:
        mask: (H, W), 1 on target pixels.

    Returns:
        One entry per target: target (from 0); top, left, bottom, right of its half-open box; row
        and col of its centroid; area_px. All in pixels.
    """
    labels, count = label_targets(mask)
    numbers = np.arange(1, count + 1)
    centres = np.reshape(ndimage.center_of_mass(mask, labels, numbers), (-1, 2))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [
        {
            "target": position,
            "top": box[0].start,
            "left": box[1].start,
            "bottom": box[0].stop,
            "right": box[1].stop,
            "row": float(centres[position][0]),
            "col": float(centres[position][1]),
            "area_px": int(areas[position]),
        }
        for position, box in enumerate(ndimage.find_objects(labels))
    ]


def class_balance(index: pd.DataFrame, classes: Mapping[str, str]) -> dict[str, Any]:
    """How many images each class has, and how unevenly.

    Args:
        index: column background, null where the source does not state it.
        classes: class of each background, such as aerial, maritime and land.

    Returns:
        images: number per class, `unknown` for backgrounds without one; shares: of the images that
        have a class; imbalance: largest number over smallest, among the classes given, NaN if one
        of them is empty.
    """
    names = index["background"].map(classes).fillna(UNKNOWN)
    counts = {name: int((names == name).sum()) for name in sorted(set(classes.values()))}
    known = sum(counts.values())
    smallest, largest = min(counts.values(), default=0), max(counts.values(), default=0)
    return {
        "images": counts | {UNKNOWN: len(index) - known},
        "shares": {name: count / known if known else np.nan for name, count in counts.items()},
        "imbalance": largest / smallest if smallest else np.nan,
    }
