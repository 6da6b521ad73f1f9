"""Images with targets and images without, counted apart: how often an empty sky raises an alarm.

Reference: ISPANet, IEEE JSTARS 2024, Table IX, whose columns P_d, P_a and F_a num these are. The
paper does not say which images its F_a num counts; here they are those without a target.
"""

import numpy as np
from jaxtyping import Float64

from irstd.metrics.counts import COUNT_COLUMNS


def field_report(counts: Float64[np.ndarray, "images columns"]) -> dict[str, float | int]:
    """Figures of images with and without targets.

    - `images_with_targets`, `images_without`, `targets`: how many.
    - `pd` = pairs / targets; `pa` = pairs / predicted components of all images; `pa_with_targets`
      the same over the images with targets alone.
    - `false_alarms_without`: predicted components on the images without targets;
      `images_without_alarmed`: how many of these have one; `alarm_free_share`: share that has none.

    Args:
        counts: a row per image, columns `irstd.metrics.counts.COUNT_COLUMNS`.

    Returns:
        The figures; a share of nothing is NaN.
    """
    c = dict(zip(COUNT_COLUMNS, counts.T, strict=True))
    empty = c["empty_images"] > 0
    without, alarmed = int(empty.sum()), int((c["false_on_empty"] > 0).sum())
    matched = c["matched"].sum()
    return {
        "images_with_targets": len(counts) - without,
        "images_without": without,
        "targets": int(c["targets"].sum()),
        "pd": _share(matched, c["targets"].sum()),
        "pa": _share(matched, c["predicted"].sum()),
        "pa_with_targets": _share(matched, c["predicted"][~empty].sum()),
        "false_alarms_without": int(c["false_on_empty"].sum()),
        "images_without_alarmed": alarmed,
        "alarm_free_share": _share(without - alarmed, without),
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
