"""Figures by kind of target and by kind of image, with intervals."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64

from irstd.evaluation.bootstrap import Counts, Interval, bootstrap_intervals, unit_sums
from irstd.metrics.counts import COUNT_COLUMNS, figures

TARGET_EDGES: Mapping[str, tuple[float, ...]] = {
    "scr": (0.0, 2.0, 4.0, 6.0, 8.0, 12.0, math.inf),
    "area_px": (1.0, 10.0, 26.0, 50.0, 82.0, math.inf),
    "border_px": (0.0, 1.0, 4.0, 8.0, 16.0, 32.0, math.inf),
}
"""Bins of the targets. Areas: up to 3 x 3, 5 x 5, 7 x 7 and 9 x 9 pixels, and larger; border:
pixels between the target's box and the nearest border of the image, 0 if it touches it."""

COUNT_EDGES = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, math.inf)
"""Bins of the number of targets in an image."""

IMAGE_FIGURES = ("iou", "niou_image", "pd", "pa", "fa_pixel")
"""Figures of a bin of images; of a bin of targets only P_d is defined."""

TARGETS, HITS = COUNT_COLUMNS.index("targets"), COUNT_COLUMNS.index("matched")

Bins = list[dict[str, Any]]
Bounded = tuple[dict[str, Any], Bool[np.ndarray, " n"]]
"""What a bin is called, and which rows are in it."""


def breakdown(
    per_image: pd.DataFrame,
    per_target: pd.DataFrame,
    index: pd.DataFrame,
    samples: int,
    confidence: float,
    seed: int,
) -> dict[str, Bins]:
    """Counts and figures in bins.

    Args:
        per_image: `irstd.evaluation.tables.IMAGE_SCHEMA`.
        per_target: `irstd.evaluation.tables.TARGET_SCHEMA`.
        index: `irstd.data.index.SCHEMA`, with a row for each of the images.
        samples: of the bootstrap within each bin.
        confidence: share of the samples between the bounds, in (0, 1).
        seed: of the random draws.

    Returns:
        Targets by `scr`, `area_px` and `border_px`; images by `targets` (their number in the image)
        and, where the index states them, by `background` and `sequence`. Each bin has its bounds
        `low` <= value < `high` (`high` None where it is open) or its `value`, its number of
        `images`, `targets` and `hits`, and `pd`; bins of images have all of `IMAGE_FIGURES`. Images
        without a target are in no bin of targets. `intervals` has `low`, `high` and `undefined` of
        each figure: whole images are drawn, or whole sequences where there are any, among those of
        the bin. NaN is undefined. What the data do not state (an SCR that is undefined, a
        background) is one more bin, without bounds and with the value None.
    """
    facts = index.set_index("id").loc[per_image["id"]]
    draw = partial(bootstrap_intervals, samples=samples, confidence=confidence, seed=seed)
    describe = partial(_bin, sequences=facts["sequence"].to_numpy(), draw=draw)
    counts = per_image[list(COUNT_COLUMNS)].to_numpy(dtype=np.float64)
    targets = per_target.assign(border_px=_border_px(per_image, per_target))
    of_image = pd.Index(per_image["id"]).get_indexer_for(targets["id"])
    hit = targets["hit"].to_numpy(dtype=bool)
    result = {
        name: [
            bounds | describe(_target_counts(of_image[chosen], hit[chosen], len(counts)), ("pd",))
            for bounds, chosen in _ranges(targets[name].to_numpy(dtype=np.float64), edges)
        ]
        for name, edges in TARGET_EDGES.items()
    }
    image_bins = {"targets": _ranges(counts[:, TARGETS], COUNT_EDGES)}
    stated = (name for name in ("background", "sequence") if facts[name].notna().any())
    image_bins |= {name: _classes(facts[name]) for name in stated}
    return result | {
        name: [
            bounds | describe(np.where(chosen[:, None], counts, 0.0), IMAGE_FIGURES)
            for bounds, chosen in bins
        ]
        for name, bins in image_bins.items()
    }


def _bin(
    counts: Float64[np.ndarray, "images columns"],
    names: tuple[str, ...],
    sequences: np.ndarray,
    draw: Callable[[Counts], dict[str, Interval]],
) -> dict[str, Any]:
    """Counts, figures and intervals of a bin; images outside it have no counts."""
    inside = counts.any(axis=1)
    sums = counts.sum(axis=0)
    values, intervals = figures(sums), draw(unit_sums(counts[inside], sequences[inside]))
    return {
        "images": int(inside.sum()),
        "targets": int(sums[TARGETS]),
        "hits": int(sums[HITS]),
        **{name: float(values[name]) for name in names},
        "intervals": {name: asdict(intervals[name]) for name in names},
    }


def _target_counts(
    of_image: Int64[np.ndarray, " n"], hit: Bool[np.ndarray, " n"], n_images: int
) -> Float64[np.ndarray, "images columns"]:
    """Counts that have nothing but some targets, given by the row of their image."""
    counts = np.zeros((n_images, len(COUNT_COLUMNS)))
    counts[:, TARGETS] = np.bincount(of_image, minlength=n_images)
    counts[:, HITS] = np.bincount(of_image[hit], minlength=n_images)
    return counts


def _border_px(per_image: pd.DataFrame, per_target: pd.DataFrame) -> Int64[np.ndarray, " n"]:
    """Pixels between each target's box and the nearest border."""
    sizes = per_image.set_index("id").loc[per_target["id"], ["height", "width"]].to_numpy()
    before = per_target[["top", "left"]].to_numpy()
    behind = sizes - per_target[["bottom", "right"]].to_numpy()
    return np.asarray(np.minimum(before, behind).min(axis=1))


def _ranges(values: Float64[np.ndarray, " n"], edges: tuple[float, ...]) -> Iterator[Bounded]:
    for low, high in pairwise(edges):
        bounds = {"low": low, "high": None if math.isinf(high) else high}
        yield bounds, (values >= low) & (values < high)
    if np.isnan(values).any():
        yield {"low": None, "high": None}, np.isnan(values)


def _classes(values: pd.Series) -> Iterator[Bounded]:
    for value in sorted(values.dropna().unique()):
        yield {"value": value}, (values == value).to_numpy(dtype=bool)
    if values.isna().any():
        yield {"value": None}, values.isna().to_numpy()
