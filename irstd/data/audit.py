"""The table that is validated: the index, and what its pixels, splits and faults show.

Columns of the index are kept, lists excepted. Derived columns:

| column | meaning |
|---|---|
| missing | `image`, `mask` or `image and mask` where the stored bytes end too early; else null |
| image_pixels, mask_pixels | pixels stored, up to the next image |
| stored_checksum | checksum of what is stored; null where missing |
| mask_values | values of the mask, such as `0 1`; null where missing |
| mask_targets | 8-connected components; null where missing or drawn from boxes or points |
| pixel_checksum | SHA-256 of the image without its mask; null where missing |
| equal_elsewhere, near_elsewhere | ids of equal and nearly equal images in other splits; or null |
| sequence_elsewhere | ids of images of the same sequence in other splits; or null |
| smallest_area, largest_area | of the targets, in pixels; null without target |
| scr_median, scr_undefined | median SCR; number of targets without one, null for boxes, points |
| scr_drift_p | p-value of the split's SCR against the training part's (Kolmogorov-Smirnov test) |
| mean_drift | distance of the split's mean grey from the training part's, in standard errors |
| split_share_error | distance of the split's share of the images from the stated share |
| split_targets | targets in the split |
| quarantine_share | images left out, as a share of the images listed |

Both drifts are of single images and of the first frame of each sequence: their statistics take what
they count for independent, and the frames of a sequence show one scene.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64
from scipy import stats
from tqdm import tqdm

from irstd.config import DataParams
from irstd.config.splits import MADE
from irstd.data.construction.near import NearImages, similar_elsewhere
from irstd.data.duplicates import shared_elsewhere
from irstd.data.index import checksum, label_targets
from irstd.data.sources import SOURCES
from irstd.data.store import ALIGNMENT, SPLITS, PreparedData
from irstd.errors import DataError


def audit(
    data: PreparedData,
    quarantined: int,
    shares: Mapping[str, float],
    near_duplicate_ssim: float,
    near_duplicate_bits: int,
) -> pd.DataFrame:
    """Build the table.

    Args:
        data: the prepared images.
        quarantined: images that were listed, but left out.
        shares: stated share of each split, see `stated_shares`.
        near_duplicate_ssim: SSIM above which two images are nearly equal.
        near_duplicate_bits: images of two sizes are compared up to this Hamming distance of their
            perceptual hashes.

    Returns:
        One row per image, columns as above.
    """
    index = data.index
    lists = ["target_areas", "scr", "centres"]
    table = index.drop(columns=[*lists, "image_offset", "mask_offset"])
    item_bytes = np.array([np.dtype(name).itemsize for name in index["dtype"]])
    table["image_pixels"] = _stored_pixels(index, "image_offset", item_bytes)
    table["mask_pixels"] = _stored_pixels(index, "mask_offset", np.ones_like(item_bytes))
    rows = tqdm(range(len(data)), desc="validate: read", unit="image")
    found = pd.DataFrame([_look(data, row) for row in rows])
    table = pd.concat([table, found], axis=1)
    splits, ids = index["split"].tolist(), index["id"].tolist()
    sums = [_text(value) for value in found["pixel_checksum"]]
    table["equal_elsewhere"] = shared_elsewhere(sums, splits, ids)
    images = [_read(data.image, row) for row in range(len(data))]
    near = NearImages(images, near_duplicate_ssim, near_duplicate_bits)
    table["near_elsewhere"] = similar_elsewhere(near, sums, splits, ids, near_duplicate_ssim)
    sequences = [_text(value) for value in index["sequence"]]
    table["sequence_elsewhere"] = shared_elsewhere(sequences, splits, ids)
    table["smallest_area"] = [_statistic(np.min, areas) for areas in index["target_areas"]]
    table["largest_area"] = [_statistic(np.max, areas) for areas in index["target_areas"]]
    table["scr_median"] = [_statistic(np.median, _finite(ratios)) for ratios in index["scr"]]
    table["scr_undefined"] = [int(np.isnan(ratios).sum()) for ratios in index["scr"]]
    for column in ("mask_targets", "scr_undefined"):
        table[column] = table[column].mask(table["mask_origin"] != "pixels")
    table = table.join(split_table(index, shares), on="split")
    table["quarantine_share"] = quarantined / (quarantined + len(index))
    return table


def stated_shares(params: DataParams) -> dict[str, float]:
    """Share of each split that the parameters or the publication state; NaN where neither does.

    Args:
        params: the group `data`.
    """
    if params.source in MADE:
        made = params.generated if params.source == "generated" else params.synthesis
        return {"train": made.train, "val": made.val, "test": 1.0 - made.train - made.val}
    lists = SOURCES[params.source].splits[params.split]
    counts = {
        part: np.nan if published.count is None else float(published.count)
        for part, published in lists.items()
    }
    if "val" not in counts and "train" in counts:
        counts["val"] = params.val_fraction * counts["train"]
        counts["train"] -= counts["val"]
    return {part: count / sum(counts.values()) for part, count in counts.items()}


def split_table(index: pd.DataFrame, shares: Mapping[str, float]) -> pd.DataFrame:
    """Figures of each split, with the training part as the reference batch.

    Args:
        index: the index of the prepared images.
        shares: stated share of each split.

    Returns:
        Columns scr_drift_p, mean_drift, split_share_error, split_targets; one row per split.
    """
    alone = _independent(index)
    reference, parts = alone[alone["split"] == SPLITS[0]], dict(iter(alone.groupby("split")))
    rows = {
        str(name): {
            "scr_drift_p": _scr_drift(reference, parts[name]),
            "mean_drift": _mean_drift(reference, parts[name]),
            "split_share_error": abs(len(part) / len(index) - shares.get(str(name), 0.0)),
            "split_targets": int(part["n_targets"].sum()),
        }
        for name, part in index.groupby("split")
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _stored_pixels(index: pd.DataFrame, offset: str, item_bytes: Int64[np.ndarray, " n"]) -> Any:
    """Pixels between one first byte and the next; the last image is as large as its size says."""
    stated = index["height"].to_numpy(np.int64) * index["width"].to_numpy(np.int64)
    room = np.diff(index[offset].to_numpy(np.int64)) // item_bytes[:-1]
    padded = (room >= stated[:-1]) & (room < stated[:-1] + ALIGNMENT // item_bytes[:-1])
    return np.append(np.where(padded, stated[:-1], room), stated[-1:])


def _look(data: PreparedData, row: int) -> dict[str, Any]:
    """What the stored bytes of one row show."""
    image, mask = _read(data.image, row), _read(data.mask, row)
    lost = [name for name, pixels in (("image", image), ("mask", mask)) if pixels is None]
    facts: dict[str, Any] = dict.fromkeys(("stored_checksum", "mask_values", "mask_targets"))
    facts |= {"missing": " and ".join(lost) or None, "pixel_checksum": None}
    if mask is not None:
        facts["mask_values"] = " ".join(str(value) for value in np.unique(mask))
        facts["mask_targets"] = label_targets(mask)[1]
    if image is not None:
        facts["pixel_checksum"] = checksum(image, np.empty((0, 0), np.uint8))
    if image is not None and mask is not None:
        facts["stored_checksum"] = checksum(image, mask)
    return facts


def _read(read: Callable[[int], np.ndarray], row: int) -> np.ndarray | None:
    try:
        return read(row)
    except DataError:  # `missing` says so
        return None


def _independent(index: pd.DataFrame) -> pd.DataFrame:
    """Single images, and of each sequence the first frame."""
    repeats = index.sort_values("frame").duplicated(["split", "sequence"])
    return index[index["sequence"].isna() | ~repeats.reindex(index.index)]


def _scr_drift(reference: pd.DataFrame, part: pd.DataFrame) -> float:
    """p-value; 1 where one side has no target to compare."""
    ours, theirs = (_finite(_joined(table["scr"])) for table in (reference, part))
    return float(stats.ks_2samp(ours, theirs).pvalue) if ours.size and theirs.size else 1.0


def _mean_drift(reference: pd.DataFrame, part: pd.DataFrame) -> float:
    """Difference of the mean greys in standard errors; 0 where there is nothing to compare."""
    ours, theirs = reference["mean"].to_numpy(), part["mean"].to_numpy()
    if not ours.size or part.index.equals(reference.index):
        return 0.0
    error = ours.std() * math.sqrt(1 / ours.size + 1 / theirs.size)
    difference = abs(theirs.mean() - ours.mean())
    return float(difference / max(error, np.finfo(np.float64).tiny))


def _joined(lists: "pd.Series[Any]") -> np.ndarray:
    return np.concatenate([np.empty(0), *lists])


def _finite(values: np.ndarray) -> np.ndarray:
    return np.asarray(values[np.isfinite(values)])


def _statistic(function: Callable[[np.ndarray], Any], values: np.ndarray) -> float:
    return float(function(values)) if values.size else math.nan


def _text(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)
