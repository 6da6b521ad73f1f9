"""Statistics of a prepared data set as ISPANet gives them (section III, Table V and Fig. 8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import ndimage

from irstd.data.construction.labels import class_balance
from irstd.data.index import label_targets, scr
from irstd.data.store import SPLITS, PreparedData

FIGURES: Mapping[str, str] = {
    "area_px": "area in pixels",
    "height_px": "height of the box in pixels",
    "width_px": "width of the box in pixels",
    "scr": "signal-to-clutter ratio",
    "image_share": "share of the image's area",
}
"""What is measured of each target, by its column."""


@dataclass(frozen=True)
class Spread:
    """Smallest, largest and mean value."""

    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class Published:
    """A row of ISPANet's Table V.

    Attributes:
        images: number of images.
        targets: number of targets.
        figures: of the columns of `FIGURES`; of a box only the mean is one.
        extremes: (height, width) of the boxes that stand for the smallest and largest size.
        notes: why the figures of the published files differ.
        notes_on_all: the same with figures that hold only where all published images are there.
    """

    images: int
    targets: int
    figures: Mapping[str, Spread]
    extremes: tuple[tuple[int, int], tuple[int, int]]
    notes: tuple[str, ...] = ()
    notes_on_all: tuple[str, ...] = ()


_BOX_NOTE = (
    "Its mean box of SIRST is the mean over images of each image's mean box (second column of "
    "means), cut off after two decimals; its range of sizes goes from the box of the target with "
    "the smallest area to that with the largest; here, of several targets of the smallest area the "
    "one with the smallest box counts, of the largest area that with the largest."
)
_SCR_NOTE = (
    "Its SCR has the same formula, but it does not state which pixels are the background; here it "
    "is a band around the target's box. The table of bands shows how much depends on it."
)

SCR_MARGINS_PX = (2, 5, 10, 20, 40)
"""Widths of the band that are compared where a paper's SCR stands beside ours."""

ISPANET_TABLE_V: Mapping[str, Published] = {
    "sirst": Published(
        images=427,
        targets=533,
        figures={
            "area_px": Spread(4.0, 330.0, 32.86),
            "height_px": Spread(np.nan, np.nan, 5.62),
            "width_px": Spread(np.nan, np.nan, 6.94),
            "scr": Spread(0.17, 42.81, 9.20),
        },
        extremes=((2, 2), (14, 34)),
        notes=(_BOX_NOTE, _SCR_NOTE),
        notes_on_all=(
            "The published mask of Misc_111 is 592 x 400 for an image of 325 x 220. Here it is "
            "brought to its image's size, where its target has a third of the pixels; that lowers "
            "the mean area by 0.16 px and the means of the box over images by 0.01 and 0.02 px.",
        ),
    ),
    "irstd_1k": Published(
        images=1001,
        targets=1495,
        figures={
            "area_px": Spread(1.0, 1065.0, 50.11),
            "height_px": Spread(np.nan, np.nan, 7.69),
            "width_px": Spread(np.nan, np.nan, 8.74),
            "scr": Spread(0.004, 68.76, 7.13),
        },
        extremes=((1, 1), (56, 53)),
        notes=(_SCR_NOTE,),
    ),
}
"""Rows of Table V by source."""


def target_table(data: PreparedData) -> pd.DataFrame:
    """Measure every target; every mask is read once.

    Returns:
        One row per target, in the order of the index and, within an image, in raster order: id,
        split and the columns of `FIGURES`; NaN where the ground truth (boxes, points) does not
        state it.
    """
    index = data.index
    counts = index["n_targets"].to_numpy(dtype=np.int64)
    boxes = np.concatenate([np.empty((0, 2)), *(_box_sizes(data, row) for row in range(len(data)))])
    area = _joined(index["target_areas"])
    pixels = index["height"].to_numpy(np.int64) * index["width"].to_numpy(np.int64)
    return pd.DataFrame(
        {
            "id": np.repeat(index["id"].to_numpy(), counts),
            "split": np.repeat(index["split"].to_numpy(), counts),
            "area_px": area,
            "height_px": boxes[:, 0],
            "width_px": boxes[:, 1],
            "scr": _joined(index["scr"]),
            "image_share": area / np.repeat(pixels, counts),
        }
    )


def summarise(
    index: pd.DataFrame, targets: pd.DataFrame, classes: Mapping[str, str]
) -> dict[str, Any]:
    """The figures of Table V and Fig. 8.

    Args:
        index: of the prepared images.
        targets: as `target_table` gives them.
        classes: class of each background, see `class_balance`.

    Returns:
        Numbers of images, targets and sequences; the same by part; spread of each of `FIGURES`;
        `extremes`: (height, width) of the boxes of the target with the smallest and the largest
        area, of several with equal areas that with the smallest and the largest box, None without
        one; `classes`, see `class_balance`.
    """
    parts = {
        part: {
            "images": int((index["split"] == part).sum()),
            "targets": int((targets["split"] == part).sum()),
        }
        for part in SPLITS
    }
    return {
        "images": len(index),
        "images_without_target": int((index["n_targets"] == 0).sum()),
        "sequences": int(index["sequence"].nunique()),
        "targets": len(targets),
        "parts": parts,
        "figures": {name: _spread(targets, name) for name in FIGURES},
        "extremes": _extremes(targets),
        "classes": class_balance(index, classes),
    }


def scr_by_margin(data: PreparedData) -> dict[int, Spread]:
    """Range and mean of the SCR for each width of the background in `SCR_MARGINS_PX`."""
    rows = np.flatnonzero((data.index["mask_origin"] == "pixels").to_numpy()).tolist()
    found = {}
    for margin in SCR_MARGINS_PX:
        ratios = [scr(data.image(row), data.mask(row), margin) for row in rows]
        values = pd.Series(np.concatenate([np.empty(0), *ratios]), dtype=np.float64)
        found[margin] = Spread(float(values.min()), float(values.max()), float(values.mean()))
    return found


def _spread(targets: pd.DataFrame, name: str) -> dict[str, float | int]:
    """Of the defined values: range, mean, median, and the mean over images of their means."""
    values = targets[name]
    return {
        "low": float(values.min()),
        "high": float(values.max()),
        "mean": float(values.mean()),
        "median": float(values.median()),
        "mean_over_images": float(values.groupby(targets["id"]).mean().mean()),
        "undefined": int(values.isna().sum()),
    }


def _extremes(targets: pd.DataFrame) -> list[list[int]] | None:
    measured = targets.dropna(subset="area_px")
    if measured.empty:
        return None
    boxes = measured.assign(box_px=measured["height_px"] * measured["width_px"])
    ordered = boxes.sort_values(["area_px", "box_px"], kind="stable")
    sizes = ordered[["height_px", "width_px"]].iloc[[0, -1]].to_numpy(dtype=np.int64)
    return [[int(height), int(width)] for height, width in sizes]


def _box_sizes(data: PreparedData, row: int) -> Float64[np.ndarray, "n 2"]:
    """(height, width) of the box of each target of one image, in pixels."""
    count = int(data.index["n_targets"].iloc[row])
    if data.index["mask_origin"].iloc[row] != "pixels":
        return np.full((count, 2), np.nan)
    boxes = ndimage.find_objects(label_targets(data.mask(row))[0])
    sizes = [(box[0].stop - box[0].start, box[1].stop - box[1].start) for box in boxes]
    return np.array(sizes, dtype=np.float64).reshape(-1, 2)


def _joined(lists: "pd.Series[Any]") -> Float64[np.ndarray, " n"]:
    """The entries of all lists; null is NaN."""
    return np.concatenate([np.empty(0), *(np.asarray(one, dtype=np.float64) for one in lists)])
