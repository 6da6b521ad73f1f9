"""Probability maps of a split on disk, so that nobody needs the network to look at them again.

A folder holds `probability.npy` (one byte per pixel, the images one after another) and
`index.parquet` with a row per image: id, height, width, offset of the first byte, and the threshold
of the masks.

A probability p is stored as the code ceil(255 p - 1/2), so code / 255 is at most 1/510 away. Where
that would move a pixel across the threshold, the next code on p's own side is stored: code >
floor(255 threshold) exactly where p > threshold, so the masks read back are those the network gave.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, UInt8

from irstd.errors import DataError
from irstd.evaluation.npy import map_npy, read_npy_header
from irstd.evaluation.tables import read_rows
from irstd.metrics.inputs import predicted_pixels

CODES_FILE, INDEX_FILE = "probability.npy", "index.parquet"
LEVELS = 255
MADE_BY = "irstd evaluate"

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("threshold", pa.float64(), nullable=False),
    ]
)


def quantise(probability: Float32[np.ndarray, "h w"], threshold: float) -> UInt8[np.ndarray, "h w"]:
    """Codes of a probability map, see above.

    Args:
        probability: (H, W) in [0, 1].
        threshold: in (0, 1).
    """
    codes = np.ceil(probability.astype(np.float64) * LEVELS - 0.5)
    last_below = math.floor(threshold * LEVELS)
    (above,) = predicted_pixels(probability, threshold)
    sided = np.where(above, np.maximum(codes, last_below + 1), np.minimum(codes, last_below))
    quantised: UInt8[np.ndarray, "h w"] = sided.astype(np.uint8)
    return quantised


class PredictionWriter:
    """Writes a folder of predictions; the index comes last, so a folder with an index is complete.

    Args:
        folder: an existing, empty folder.
        shapes: (height, width) of every image to come, in order.
        threshold: of the masks.
    """

    def __init__(self, folder: Path, shapes: Sequence[tuple[int, int]], threshold: float) -> None:
        """Reserve the file."""
        total = sum(height * width for height, width in shapes)
        self._codes = np.lib.format.open_memmap(
            folder / CODES_FILE, mode="w+", dtype=np.uint8, shape=(total,)
        )
        self._folder = folder
        self._threshold = threshold
        self._rows: list[dict[str, str | int | float]] = []
        self._end = 0

    def add(self, id: str, probability: Float32[np.ndarray, "h w"]) -> None:
        """Append the map of the next image."""
        height, width = probability.shape
        row = {"id": id, "height": height, "width": width, "offset": self._end}
        self._rows.append(row | {"threshold": self._threshold})
        start, self._end = self._end, self._end + probability.size
        self._codes[start : self._end] = quantise(probability, self._threshold).ravel()

    def close(self) -> None:
        """Write the index."""
        self._codes.flush()
        pq.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA), self._folder / INDEX_FILE)


class StoredPredictions:
    """Read access to a folder of predictions; the maps are memory-mapped.

    Attributes:
        ids: of the images, in the order of the split.
        threshold: of the masks.

    Raises:
        DataError: the folder is missing, incomplete or damaged.
    """

    def __init__(self, folder: Path) -> None:
        """Read the index and map the codes."""
        self._folder = folder
        rows = read_rows(folder / INDEX_FILE, SCHEMA, MADE_BY).to_pylist()
        total = _check_rows(folder / INDEX_FILE, rows)
        path = folder / CODES_FILE
        try:
            header = read_npy_header(path)
            if header.shape != (total,) or header.dtype != np.uint8:
                raise DataError(
                    f"expected {total} bytes as in {INDEX_FILE}, got {header.dtype} of shape "
                    f"{header.shape}"
                )
            self._codes = map_npy(path, header)
        except (OSError, DataError) as error:
            raise DataError(f"{path}: {error}; run `{MADE_BY}` again") from error
        self._rows = {row["id"]: row for row in rows}
        self.ids = tuple(self._rows)
        self.threshold = float(rows[0]["threshold"])

    def probability(self, id: str) -> Float32[np.ndarray, "h w"]:
        """Probability map of an image, (H, W), within 1/255 of what the network gave.

        In float32 too, exactly the pixels of the mask are above its threshold.

        Raises:
            DataError: the image is not among the predictions.
        """
        probability = self._read(id).astype(np.float32) / np.float32(LEVELS)
        below = np.float32(self.threshold)
        if float(below) > self.threshold:
            below = np.nextafter(below, np.float32(0))
        above = np.nextafter(below, np.float32(1))
        highs, lows = np.maximum(probability, above), np.minimum(probability, below)
        sided: Float32[np.ndarray, "h w"] = np.where(self.mask(id), highs, lows)
        return sided

    def mask(self, id: str) -> Bool[np.ndarray, "h w"]:
        """Predicted pixels of an image, (H, W), exactly as evaluated.

        Raises:
            DataError: the image is not among the predictions.
        """
        mask: Bool[np.ndarray, "h w"] = self._read(id) > math.floor(self.threshold * LEVELS)
        return mask

    def _read(self, id: str) -> UInt8[np.ndarray, "h w"]:
        if id not in self._rows:
            raise DataError(
                f"{self._folder}: no prediction for image {id!r} among {len(self.ids)}; "
                f"run `{MADE_BY}` on these images again"
            )
        row = self._rows[id]
        height, width = row["height"], row["width"]
        codes: UInt8[np.ndarray, "h w"] = self._codes[row["offset"] :][: height * width]
        return codes.reshape(height, width)


def _check_rows(path: Path, rows: Sequence[dict[str, Any]]) -> int:
    """Bytes of all maps, which lie one behind another.

    Raises:
        DataError: no row, one that is out of place, an id that is there twice, or not one threshold
            in [0, 1].
    """
    end = 0
    for row in rows:
        if row["height"] < 1 or row["width"] < 1 or row["offset"] != end:
            raise DataError(
                f"{path}: expected a map of at least one pixel from byte {end} on, got {row}; run "
                f"`{MADE_BY}` again"
            )
        end += row["height"] * row["width"]
    thresholds = {row["threshold"] for row in rows}
    if len(thresholds) != 1 or not 0 <= min(thresholds) <= 1:
        raise DataError(
            f"{path}: expected one threshold in [0, 1], got {sorted(thresholds)}; run `{MADE_BY}` "
            "again"
        )
    if len({row["id"] for row in rows}) < len(rows):
        raise DataError(f"{path}: expected each id once; run `{MADE_BY}` again")
    return end
