"""P_d by signal-to-clutter ratio and by size of the target."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

SCR_EDGES = (0.0, 2.0, 4.0, 6.0, 8.0, 12.0, math.inf)
AREA_EDGES_PX = (1.0, 10.0, 26.0, 50.0, 82.0, math.inf)
"""Up to 3 x 3, 5 x 5, 7 x 7 and 9 x 9 pixels, and larger."""


def breakdown(per_target: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Targets, hits and P_d in bins.

    Args:
        per_target: `irstd.evaluation.tables.TARGET_SCHEMA`.

    Returns:
        For `scr` and `area_px` the bins low <= value < high, `high` None where it is open, P_d NaN
        in an empty bin. Targets whose SCR is undefined are one more bin without bounds.
    """
    scr = per_target["scr"].to_numpy(dtype=np.float64)
    hit = per_target["hit"].to_numpy(dtype=bool)
    bins = _bins(scr, hit, SCR_EDGES)
    if np.isnan(scr).any():
        bins.append({"low": None, "high": None} | _rate(hit[np.isnan(scr)]))
    areas = per_target["area_px"].to_numpy(dtype=np.float64)
    return {"scr": bins, "area_px": _bins(areas, hit, AREA_EDGES_PX)}


def _bins(values: np.ndarray, hit: np.ndarray, edges: tuple[float, ...]) -> list[dict[str, Any]]:
    return [
        {"low": low, "high": None if math.isinf(high) else high}
        | _rate(hit[(values >= low) & (values < high)])
        for low, high in pairwise(edges)
    ]


def _rate(hit: np.ndarray) -> dict[str, Any]:
    pd_ = float(hit.mean()) if hit.size else math.nan
    return {"targets": int(hit.size), "hits": int(hit.sum()), "pd": pd_}
