"""The ground truth of prepared images: targets with pixels, or places alone."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from irstd.data.store import PreparedData
from irstd.metrics.components import Components, label_components
from irstd.metrics.points import point_targets


def true_targets(data: PreparedData, row: int) -> Components:
    """Targets of one image: components of its mask, or `PointTargets` from boxes and points."""
    if data.index["mask_origin"].iloc[row] == "pixels":
        return label_components(data.mask(row) > 0)
    places = [tuple(place) for place in data.index["centres"].iloc[row]]
    centres = np.array(places, dtype=np.float64).reshape(-1, 2)
    return point_targets(centres, data.mask(row).shape)


def lacking_pixels(data: PreparedData, rows: Sequence[int]) -> str | None:
    """Why figures of pixels are undefined on these images; None where all have masks."""
    origins = Counter(data.index["mask_origin"].iloc[list(rows)])
    lacking = {name: count for name, count in origins.items() if name != "pixels"}
    if not lacking:
        return None
    what = " and ".join(f"{name} for {count}" for name, count in sorted(lacking.items()))
    return (
        f"the ground truth is {what} of {len(rows)} images, no masks: IoU, nIoU, precision, "
        "recall, F1 and false alarms of pixels, ROC and calibration are undefined"
    )
