"""Prepared images: decoded once, memory-mapped afterwards.

A folder holds `index.parquet` (see `irstd.data.index`) and two flat arrays of bytes: `pixels.npy`
(native grey values, lowest byte first) and `masks.npy` (0 or 1 per pixel). Each image begins at a
multiple of `ALIGNMENT` bytes.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Int64, UInt8

from irstd.data.index import INDEX_FILE, describe, little_endian, read_index, write_index
from irstd.data.pixels import Grey
from irstd.data.sources import RawImage
from irstd.errors import DataError
from irstd.files import replaced

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

PIXELS_FILE, MASKS_FILE = "pixels.npy", "masks.npy"
ALIGNMENT = 64


@dataclass(frozen=True)
class Sequence:
    """The prepared frames of a sequence, or a single image.

    Attributes:
        rows: their positions, by frame.
        frames: their numbers, ascending.
    """

    rows: Int64[np.ndarray, " n"]
    frames: Int64[np.ndarray, " n"]

    @property
    def span(self) -> int:
        """Frames from the first to the last one, missing ones included."""
        return int(self.frames[-1] - self.frames[0]) + 1

    @property
    def missing(self) -> int:
        """Frames between the first and the last one that were not prepared."""
        return self.span - len(self.frames)


class PreparedData:
    """Read access to a prepared folder. It is pickled as its path, so workers share the memory map.

    Args:
        folder: `data/processed/<profile>`.

    Raises:
        DataError: the folder is not prepared, or its files do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        """Read the index; the pixels are mapped at the first access."""
        self.folder = folder
        self.index: pd.DataFrame = read_index(folder)
        self._shapes = self.index[["height", "width"]].to_numpy(dtype=np.int64)
        self._dtypes = [np.dtype(name).newbyteorder("<") for name in self.index["dtype"]]
        self._image_offsets = self.index["image_offset"].to_numpy(dtype=np.int64)
        self._mask_offsets = self.index["mask_offset"].to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.index)

    def __reduce__(self) -> tuple[type["PreparedData"], tuple[Path]]:
        return PreparedData, (self.folder,)

    def rows(self, split: str) -> Int64[np.ndarray, " n"]:
        """Row positions of a split, in index order.

        Raises:
            DataError: unknown split name.
        """
        if split not in SPLITS:
            raise DataError(f"unknown split {split!r}; choose one of: {', '.join(SPLITS)}")
        return np.flatnonzero(self.index["split"].to_numpy() == split)

    def image(self, row: int) -> Grey:
        """Grey values of one image, (H, W), uint8 or uint16: a read-only view of the memory map."""
        return self._view(self._pixels, int(self._image_offsets[row]), row, self._dtypes[row])

    def mask(self, row: int) -> UInt8[np.ndarray, "h w"]:
        """Mask of one image, (H, W), 0 or 1: a read-only view of the memory map."""
        return self._view(self._masks, int(self._mask_offsets[row]), row, np.dtype(np.uint8))

    def sequence_of(self, row: int) -> Sequence:
        """The sequence that an image belongs to."""
        alone = Sequence(np.array([row]), np.zeros(1, np.int64))
        return self._sequences.get(self.index["sequence"].iloc[row], alone)

    @cached_property
    def _sequences(self) -> dict[Any, Sequence]:
        """Each sequence by its name; images without one have no name."""
        frames = self.index.reset_index(drop=True).dropna(subset=["sequence"])
        ordered = frames.sort_values("frame", kind="stable")
        return {
            name: Sequence(group.index.to_numpy(np.int64), group["frame"].to_numpy(np.int64))
            for name, group in ordered.groupby("sequence", sort=False)
        }

    @cached_property
    def checksum(self) -> str:
        """The data version: SHA-256 over id, split and checksum of every row, ordered by id."""
        columns = self.index[["id", "split", "checksum"]].sort_values("id")
        lines = ("\t".join(row) for row in columns.itertuples(index=False, name=None))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @cached_property
    def _pixels(self) -> UInt8[np.ndarray, " bytes"]:
        return self._map(PIXELS_FILE)

    @cached_property
    def _masks(self) -> UInt8[np.ndarray, " bytes"]:
        return self._map(MASKS_FILE)

    def _map(self, name: str) -> UInt8[np.ndarray, " bytes"]:
        path = self.folder / name
        try:
            content: UInt8[np.ndarray, " bytes"] = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: cannot be mapped ({error}); run `irstd prepare` again"
            ) from error
        return content

    def _view(self, content: np.ndarray, offset: int, row: int, dtype: np.dtype[Any]) -> np.ndarray:
        height, width = self._shapes[row]
        end = offset + int(height) * int(width) * dtype.itemsize
        if end > content.size:
            raise DataError(
                f"{self.folder}: row {row} ends at byte {end}, but the file has {content.size}; "
                "index and pixels do not belong together; run `irstd prepare` again"
            )
        # np.frombuffer drops the np.memmap class, whose views cost more than a small image.
        return np.frombuffer(content, dtype, int(height) * int(width), offset).reshape(
            height, width
        )


def write_prepared(folder: Path, images: Iterable[RawImage], source: str) -> pd.DataFrame:
    """Write images one by one: a data set need not fit in memory.

    The folder changes only at the end, the index last: a folder with an index is complete.

    Args:
        folder: `data/processed/<profile>`, made if missing.
        images: in the order of the rows.
        source: name of the source.

    Returns:
        The index, as `read_index` gives it.

    Raises:
        DataError: no image came, two have one id, or an image does not fit its mask.
    """
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    with (
        replaced(folder / INDEX_FILE) as new_index,  # the outermost takes its name last
        replaced(folder / PIXELS_FILE) as new_pixels,
        replaced(folder / MASKS_FILE) as new_masks,
    ):
        with _ByteFile(new_pixels) as pixels, _ByteFile(new_masks) as masks:
            for raw in images:
                _check(raw, seen)
                rows.append(describe(raw, source, pixels.append(raw.image), masks.append(raw.mask)))
        if not rows:
            raise DataError(
                f"{folder}: expected at least one image from source {source!r}, got none"
            )
        write_index(rows, new_index)
        (folder / INDEX_FILE).unlink(missing_ok=True)
    return read_index(folder)


def _check(raw: RawImage, seen: set[str]) -> None:
    if raw.id in seen:
        raise DataError(f"image {raw.id!r} came twice; ids are unique within a source")
    seen.add(raw.id)
    if raw.split not in SPLITS:
        raise DataError(
            f"image {raw.id!r}: unknown split {raw.split!r}; choose one of: {', '.join(SPLITS)}"
        )
    if raw.image.ndim != 2 or raw.image.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"image {raw.id!r}: expected (H, W) of uint8 or uint16, "
            f"got {raw.image.shape} of {raw.image.dtype}"
        )
    if (
        raw.mask.shape != raw.image.shape
        or raw.mask.dtype != np.uint8
        or raw.mask.max(initial=0) > 1
    ):
        raise DataError(
            f"image {raw.id!r}: expected a uint8 mask of 0 and 1 with shape {raw.image.shape}, "
            f"got {raw.mask.shape} of {raw.mask.dtype} up to {raw.mask.max(initial=0)}"
        )


class _ByteFile:
    """A one-dimensional uint8 `.npy` file that grows; its header reserves room for any length."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._size = 0
        self._write_header()

    def append(self, pixels: np.ndarray) -> int:
        """Append the pixels and return the offset of the first byte behind the header."""
        gap = -self._size % ALIGNMENT
        content = little_endian(pixels)
        self._file.write(b"\0" * gap + content)
        offset = self._size + gap
        self._size = offset + len(content)
        return offset

    def __enter__(self) -> "_ByteFile":
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._size,)}
        np.lib.format.write_array_header_1_0(self._file, header)
