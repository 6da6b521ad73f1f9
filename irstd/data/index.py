"""The index: one row per prepared image, stored as `index.parquet`.

| column | type | meaning |
|---|---|---|
| id | string | identifier, unique within the source |
| source | string | name of the source |
| split | string | `train`, `val` or `test` |
| sequence, frame | string, int32 | video and position in it; null for single frames |
| height, width | int32 | size in pixels, of the image and of the mask |
| dtype | string | `uint8` or `uint16` |
| n_targets | int32 | 8-connected components of the mask, or boxes or points |
| target_areas | list of int32 | pixels of each target, in raster order; null if unknown |
| scr | list of float32 | signal-to-clutter ratio of each target, see `scr`; NaN where undefined |
| mask_origin | string | `pixels`; or `boxes`, `points`: only detection can be measured |
| centres | list of (row, col) | of the targets where boxes or points are given; else null |
| mean, std | float64 | of the image scaled to [0, 1] by its dtype |
| background | string | kind of background; null where the source does not state it |
| repaired | string | what was repaired, empty if nothing |
| checksum | string | SHA-256 of dtype, size, pixels and mask |
| image_offset, mask_offset | int64 | first byte in `pixels.npy` and `masks.npy` |
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float32, Int32, UInt8
from scipy import ndimage

from irstd.data.pixels import Grey, to_unit
from irstd.data.sources import RawImage
from irstd.errors import DataError

INDEX_FILE = "index.parquet"

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("sequence", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),
        pa.field("n_targets", pa.int32(), nullable=False),
        pa.field("target_areas", pa.list_(pa.int32()), nullable=False),
        pa.field("scr", pa.list_(pa.float32()), nullable=False),
        pa.field("mask_origin", pa.string(), nullable=False),
        pa.field("centres", pa.list_(pa.list_(pa.float64()))),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("std", pa.float64(), nullable=False),
        pa.field("background", pa.string()),
        pa.field("repaired", pa.string(), nullable=False),
        pa.field("checksum", pa.string(), nullable=False),
        pa.field("image_offset", pa.int64(), nullable=False),
        pa.field("mask_offset", pa.int64(), nullable=False),
    ]
)

COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)

SCR_MARGIN_PX = 20
"""Width of the band around a target's box that counts as its background: d = 20 in C. Gao et al.,
"Infrared Patch-Image Model for Small Target Detection in a Single Image", IEEE TIP 22(12), 2013,
section V. ISPANet (section III) gives the formula only."""

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


def label_targets(mask: UInt8[np.ndarray, "h w"]) -> tuple[Int32[np.ndarray, "h w"], int]:
    """Number the targets of a mask (8-connected) 1, 2, ... in raster order of their first pixel."""
    labels = np.empty(mask.shape, dtype=np.int32)
    count = int(ndimage.label(mask, structure=EIGHT_CONNECTED, output=labels))
    return labels, count


def scr(
    image: Grey, mask: UInt8[np.ndarray, "h w"], margin: int = SCR_MARGIN_PX
) -> Float32[np.ndarray, " targets"]:
    """Signal-to-clutter ratio of each target (ISPANet, section III).

        SCR = |mu_t - mu_b| / sigma_b

    mu_t is the mean grey value of the target; mu_b and sigma_b are mean and standard deviation over
    its background: the target's box enlarged by the margin on each side and clipped at the
    border, without the pixels of any target. It has no unit and does not depend on the dtype.

    Args:
        image: (H, W) grey values.
        mask: (H, W), 1 on target pixels.
        margin: in pixels.

    Returns:
        (targets,) in the order of `label_targets`; NaN where sigma_b is 0 or no background is left.
    """
    labels, count = label_targets(mask)
    ratios = np.full(count, np.nan, dtype=np.float32)
    for position, box in enumerate(ndimage.find_objects(labels)):
        window = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        background = image[window][labels[window] == 0].astype(np.float64)
        sigma = background.std() if background.size else 0.0
        if sigma > 0.0:
            target = image[box][labels[box] == position + 1].astype(np.float64)
            ratios[position] = abs(target.mean() - background.mean()) / sigma
    return ratios


def describe(raw: RawImage, source: str, image_offset: int, mask_offset: int) -> dict[str, Any]:
    """The row of one image; keys are `COLUMNS`."""
    unit: Float[np.ndarray, "h w"] = to_unit(raw.image).astype(np.float64)
    return {
        "id": raw.id,
        "source": source,
        "split": raw.split,
        "sequence": raw.sequence,
        "frame": raw.frame,
        "height": raw.image.shape[0],
        "width": raw.image.shape[1],
        "dtype": raw.image.dtype.name,
        **_describe_targets(raw),
        "mean": float(unit.mean()),
        "std": float(unit.std()),
        "background": raw.background,
        "repaired": raw.repaired,
        "checksum": checksum(raw.image, raw.mask),
        "image_offset": image_offset,
        "mask_offset": mask_offset,
    }


def _describe_targets(raw: RawImage) -> dict[str, Any]:
    """Targets of one image; what boxes and points do not state is null or NaN, not zero."""
    if raw.centres is None:
        labels, count = label_targets(raw.mask)
        areas: Any = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        ratios = scr(raw.image, raw.mask)
    else:
        count = len(raw.centres)
        areas, ratios = [None] * count, np.full(count, np.nan, dtype=np.float32)
    return {
        "n_targets": count,
        "target_areas": areas,
        "scr": ratios,
        "mask_origin": raw.mask_origin,
        "centres": raw.centres,
    }


def checksum(image: Grey, mask: UInt8[np.ndarray, "h w"]) -> str:
    """SHA-256 (hexadecimal) of dtype, size, little-endian pixels and mask."""
    digest = hashlib.sha256(f"{image.dtype.name} {image.shape[0]} {image.shape[1]}\n".encode())
    digest.update(little_endian(image))
    digest.update(little_endian(mask))
    return digest.hexdigest()


def little_endian(pixels: np.ndarray) -> bytes:
    """Bytes of an array, row by row, lowest byte first on every machine."""
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()


def write_index(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows as Parquet; equal rows give equal bytes."""
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)


def read_index(folder: Path) -> pd.DataFrame:
    """Read the index of a prepared folder.

    Raises:
        DataError: it is missing, damaged, or has other columns.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise DataError(
            f"{path}: no prepared data; run `irstd prepare` (or `dvc repro prepare`) first"
        )
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: not a readable Parquet file ({error}); run `irstd prepare` again"
        ) from error
    if tuple(table.column_names) != COLUMNS:
        difference = sorted(set(table.column_names) ^ set(COLUMNS))
        raise DataError(
            f"{path}: columns differ from this version's: {difference}; run `irstd prepare` again"
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype({"frame": "Int32"})
