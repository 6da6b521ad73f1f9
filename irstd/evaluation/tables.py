"""What was found in each image, as rows: images, targets, false alarms.

Positions count from 0 in raster order of the first pixel; coordinates are in pixels of the original
mask, boxes (top, left, bottom, right) half-open.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float32
from scipy import ndimage

from irstd.errors import DataError
from irstd.metrics.components import Components
from irstd.metrics.counts import COUNT_COLUMNS, ImageCounts
from irstd.metrics.histogram import DEFAULT_BINS, ScoreHistogram
from irstd.metrics.points import PointTargets

Rows = list[dict[str, Any]]

PLACE = [
    pa.field("row", pa.float64(), nullable=False),
    pa.field("col", pa.float64(), nullable=False),
    pa.field("area_px", pa.int32()),
    *(pa.field(side, pa.int32(), nullable=False) for side in ("top", "left", "bottom", "right")),
]

IMAGE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in COUNT_COLUMNS),
    ]
)
"""One row per image: its size and its counts (`irstd.metrics.counts.COUNT_COLUMNS`). Sums of rows
give every figure."""

TARGET_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("target", pa.int32(), nullable=False),
        *PLACE,
        pa.field("scr", pa.float32(), nullable=False),
        pa.field("hit", pa.bool_(), nullable=False),
        pa.field("overlap", pa.float64(), nullable=False),
        pa.field("peak", pa.float32(), nullable=False),
        pa.field("component", pa.int32()),
        pa.field("score", pa.float32()),
        pa.field("distance_px", pa.float64()),
    ]
)
"""One row per target: signal-to-clutter ratio, whether it was hit, overlap with what touches it
(`ImageCounts`), largest probability on its pixels; for a hit the matched component, its largest
probability and the distance of the centroids (null for a miss). Of a target of which only the place
is known the area is null, the overlap NaN, and the box is the pixel that holds the place."""

FALSE_ALARM_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("component", pa.int32(), nullable=False),
        *PLACE,
        pa.field("score", pa.float32(), nullable=False),
        pa.field("nearest_px", pa.float64()),
    ]
)
"""One row per predicted component without a target: its largest probability and the distance to the
nearest target's centroid (null in an image without target)."""

BINNED = pa.list_(pa.int32(), DEFAULT_BINS + 1)
SCORE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("target", BINNED, nullable=False),
        pa.field("background", BINNED, nullable=False),
    ]
)
"""One row per image: its pixels by their probability (`irstd.metrics.histogram.ScoreHistogram`)."""


def read_rows(path: Path, schema: pa.Schema, made_by: str) -> pa.Table:
    """Read a table that a stage has written.

    Args:
        path: the file.
        schema: columns it must have, and their types.
        made_by: the command that writes it, for messages.

    Raises:
        DataError: it is missing, damaged, lacks a column, or a column has another type.
    """
    try:
        table = pq.read_table(path)
        found = ", ".join(table.column_names)
        missing = [name for name in schema.names if name not in table.column_names]
        if not missing:
            return table.select(schema.names).cast(schema)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: not a readable table of {', '.join(schema.names)} ({error}); run `{made_by}`"
        ) from error
    raise DataError(f"{path}: lacks {', '.join(missing)}, got {found}; run `{made_by}` again")


def image_row(id: str, counts: ImageCounts) -> dict[str, Any]:
    """The row of one image in `IMAGE_SCHEMA`."""
    height, width = counts.targets.labels.shape
    named = dict(zip(COUNT_COLUMNS, counts.row.tolist(), strict=True))
    return {"id": id, "height": height, "width": width} | named


def target_rows(
    id: str,
    counts: ImageCounts,
    probability: Float32[np.ndarray, "h w"],
    scr: Float[np.ndarray, " n"],
) -> Rows:
    """The rows of one image in `TARGET_SCHEMA`.

    Args:
        id: of the image.
        counts: of the image.
        probability: (H, W).
        scr: signal-to-clutter ratio of each target, as in the index.

    Raises:
        DataError: not one ratio per target.
    """
    if len(scr) != counts.targets.count:
        raise DataError(
            f"image {id!r}: the index has {len(scr)} targets, the mask {counts.targets.count}; "
            "they do not belong together: run `irstd prepare` again"
        )
    peaks = peak_probability(probability, counts.targets)
    scores = peak_probability(probability, counts.predicted)
    partner = dict(counts.pairs.tolist())
    rows = []
    for position, place in enumerate(_places(counts.targets)):
        row = {"id": id, "target": position} | place
        if isinstance(counts.targets, PointTargets):
            row["area_px"] = None
        row |= {"scr": float(scr[position]), "hit": position in partner}
        row |= {"overlap": float(counts.overlaps[position]), "peak": float(peaks[position])}
        if position in partner:
            component = partner[position]
            offset = counts.predicted.centroids[component] - counts.targets.centroids[position]
            row |= {"component": component, "score": float(scores[component])}
            row |= {"distance_px": float(np.hypot(*offset))}
        rows.append(row)
    return rows


def false_alarm_rows(id: str, counts: ImageCounts, probability: Float32[np.ndarray, "h w"]) -> Rows:
    """The rows of one image in `FALSE_ALARM_SCHEMA`."""
    scores = peak_probability(probability, counts.predicted)
    matched = set(counts.pairs[:, 1].tolist())
    rows = []
    for position, place in enumerate(_places(counts.predicted)):
        if position not in matched:
            row = {"id": id, "component": position} | place | {"score": float(scores[position])}
            offsets = counts.targets.centroids - counts.predicted.centroids[position]
            if len(offsets):
                row["nearest_px"] = float(np.hypot(offsets[:, 0], offsets[:, 1]).min())
            rows.append(row)
    return rows


def score_row(id: str, histogram: ScoreHistogram) -> dict[str, Any]:
    """The row of one image in `SCORE_SCHEMA`."""
    pixels = {"target": histogram.target, "background": histogram.background}
    return {"id": id} | {name: bins.astype(np.int32) for name, bins in pixels.items()}


def peak_probability(
    probability: Float32[np.ndarray, "h w"], components: Components
) -> Float[np.ndarray, " n"]:
    """Largest probability inside each component."""
    positions = np.arange(1, components.count + 1)
    return np.asarray(ndimage.maximum(probability, components.labels, positions), dtype=np.float64)


def _places(components: Components) -> Rows:
    """Centroid, area and box of each component."""
    names = ("row", "col", "area_px", "top", "left", "bottom", "right")
    columns = (*components.centroids.T, components.areas, *components.boxes.T)
    values = zip(*(column.tolist() for column in columns), strict=True)
    return [dict(zip(names, value, strict=True)) for value in values]
