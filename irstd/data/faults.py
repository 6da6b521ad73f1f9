"""Reading listed images, and what happens to faulty ones.

| policy | a fault |
|---|---|
| fail | stops the stage, after all images were read, with the whole list |
| quarantine | leaves the image out and is listed in `quarantine.parquet` |
| repair | as quarantine, but a mask of another size is resized to its image and the row marked |

Under every policy the report of the stage lists them in `quarantine.csv`.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8

from irstd.data.entries import Contents, Entry
from irstd.data.index import label_targets
from irstd.data.listing import Listed
from irstd.data.marks import Marks, centres, draw
from irstd.data.pixels import Grey, decode_grey, decode_mask, read_header
from irstd.data.slices import decode_slice
from irstd.data.sources import Fault, RawImage
from irstd.data.video import VIDEO_FILE, MissingFrameError, VideoReader
from irstd.errors import DataError
from irstd.files import replaced

QUARANTINE_FILE, QUARANTINE_LIST = "quarantine.parquet", "quarantine.csv"
COLUMNS = ("id", "file", "reason", "action")

Policy = Literal["fail", "quarantine", "repair"]
Action = Literal["left out", "repaired", "listed once"]

T = TypeVar("T")

MIN_SIDE_PX = 8
"""Smaller images are faults: no target with a background fits in."""

ASPECT_TOLERANCE = 0.02
"""A mask is taken for a scaled copy if its two scale factors differ by no more than this share."""


@dataclass
class FaultLog:
    """Collects the faults of one run.

    Attributes:
        policy: what to do with them.
        entries: each fault with what was done.
    """

    policy: Policy
    entries: list[tuple[Fault, Action]] = field(default_factory=list)

    def add(self, fault: Fault, action: Action = "left out") -> None:
        """Note a fault."""
        self.entries.append((fault, action))

    def count(self, action: Action) -> int:
        """Number of images with such an entry."""
        return len({fault.id for fault, done in self.entries if done == action})

    def check(self, folder: Path) -> None:
        """Stop if the policy is `fail` and there was a fault.

        Raises:
            DataError: names every fault.
        """
        if self.policy != "fail" or not self.entries:
            return
        lines = [f"  {fault.id}: {fault.file}: {fault.reason}" for fault, _ in self.entries]
        raise DataError(
            f"{folder}: {len(lines)} faults, and data.fault_policy is 'fail':\n"
            + "\n".join(lines)
            + "\ncorrect the files, or set data.fault_policy to 'quarantine' or 'repair'"
        )

    def write(self, folder: Path) -> None:
        """Write `quarantine.parquet` (columns id, file, reason, action; empty if all is well)."""
        schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in COLUMNS])
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in self._rows()]
        with replaced(folder / QUARANTINE_FILE) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)

    def write_list(self, path: Path) -> None:
        """Write the same table as CSV, to read."""
        with replaced(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *self._rows()])

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [(fault.id, fault.file, fault.reason, action) for fault, action in self.entries]


def read_quarantine(folder: Path) -> pd.DataFrame:
    """Read the quarantine table of a prepared folder.

    Raises:
        DataError: it is missing.
    """
    path = folder / QUARANTINE_FILE
    if not path.is_file():
        raise DataError(
            f"{path}: no prepared data; run `irstd prepare` (or `dvc repro prepare`) first"
        )
    table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table


def read_images(
    contents: Contents, items: Iterable[Listed], log: FaultLog, mask_threshold: int | None = None
) -> Iterator[RawImage]:
    """Read listed images one by one; faulty ones go to the log.

    Args:
        contents: the folder they stand in.
        items: what to read.
        log: takes the faults.
        mask_threshold: see `decode_mask`.

    Raises:
        DataError: after the last image, if the policy is `fail` and the log holds a fault.
    """
    reader = Reader(contents, log, mask_threshold)
    for item in items:
        raw = reader.read(item)
        if raw is not None:
            yield raw
    reader.close()
    log.check(contents.tree.root)


def resize_mask(
    mask: UInt8[np.ndarray, "h0 w0"], height: int, width: int
) -> UInt8[np.ndarray, "h w"]:
    """Bring the mask of a scaled image back to the image's size by nearest neighbour.

    Row i of the result is row floor((i + 1/2) h0 / h) of the mask, columns likewise: the pixel that
    holds the centre, found in integers.

    Raises:
        DataError: the mask is not a scaled copy (`ASPECT_TOLERANCE`), or a target would vanish or
            merge with another.
    """
    scales = mask.shape[0] / height, mask.shape[1] / width
    if abs(scales[0] / scales[1] - 1.0) > ASPECT_TOLERANCE:
        raise DataError(f"not repairable: the scales {scales[0]:.3f} and {scales[1]:.3f} differ")
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    cols = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    resized = mask[np.ix_(rows, cols)]
    before, after = label_targets(mask)[1], label_targets(resized)[1]
    if before != after:
        raise DataError(f"not repairable: {before} targets would become {after}")
    return resized


class Reader:
    """Decodes the images of a folder; the faults of each file go to the log.

    Args:
        contents: the folder.
        log: takes the faults.
        mask_threshold: see `decode_mask`.
    """

    def __init__(self, contents: Contents, log: FaultLog, mask_threshold: int | None) -> None:
        """Nothing is opened yet."""
        self._tree, self._log = contents.tree, log
        self._threshold = mask_threshold
        self._videos: dict[str, VideoReader] = {}

    def read(self, item: Listed) -> RawImage | None:
        """One image with its ground truth; None if it has a fault that leaves it out."""
        entry = item.entry
        image = self._try(entry, entry.image, lambda: self._image(entry))
        if entry.mask is not None:
            file = entry.mask
            mask = self._try(entry, file, lambda: self._mask(file))
            if image is None or mask is None:
                return None
            return self._paired(item, file, image, mask)
        if image is None:
            return None
        marks = entry.marks or Marks("pixels")
        file = entry.annotation or entry.image
        drawn = self._try(entry, file, lambda: draw(marks, _shape(image)))
        if drawn is None:
            return None
        places = None if marks.origin == "pixels" else tuple(centres(marks, _shape(image)))
        return _raw(item, image, drawn, mask_origin=marks.origin, centres=places)

    def close(self) -> None:
        """Close the videos."""
        for video in self._videos.values():
            video.close()

    def _image(self, entry: Entry) -> Grey:
        image = self._pixels(entry)
        if min(image.shape) < MIN_SIDE_PX:
            raise DataError(
                f"expected at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels, got "
                f"{image.shape[0]} x {image.shape[1]}"
            )
        return image

    def _pixels(self, entry: Entry) -> Grey:
        if re.fullmatch(VIDEO_FILE, entry.image) and entry.frame is not None:
            video = self._videos.setdefault(entry.image, VideoReader(self._tree, entry.image))
            return video.frame(entry.frame)
        content = self._tree.read(entry.image)
        if entry.image.endswith(".mat"):
            return decode_slice(content)
        read_header(content)
        return decode_grey(content)

    def _mask(self, file: str) -> UInt8[np.ndarray, "h w"]:
        content = self._tree.read(file)
        read_header(content)
        return decode_mask(content, self._threshold)

    def _try(self, entry: Entry, file: str, decode: Callable[[], T]) -> T | None:
        """Decode one file of an image; None and an entry in the log if that fails."""
        try:
            return decode()
        except DataError as error:
            wrong = entry.mask if isinstance(error, MissingFrameError) else file
            self._log.add(Fault(entry.id, wrong or file, str(error)))
        return None

    def _paired(
        self, item: Listed, file: str, image: Grey, mask: UInt8[np.ndarray, "h0 w0"]
    ) -> RawImage | None:
        """Image and mask, if their sizes are equal or can be made so."""
        (height, width), (h0, w0) = image.shape, mask.shape
        if (height, width) == (h0, w0):
            return _raw(item, image, mask)
        reason = f"expected the image's size {height} x {width}, got {h0} x {w0}"
        if self._log.policy != "repair":
            self._log.add(Fault(item.id, file, reason))
            return None
        try:
            resized = resize_mask(mask, height, width)
        except DataError as error:
            self._log.add(Fault(item.id, file, f"{reason}; {error}"))
            return None
        self._log.add(Fault(item.id, file, reason), "repaired")
        repaired = f"mask resized from {h0} x {w0} by nearest neighbour"
        return _raw(item, image, resized, repaired=repaired)


def _raw(item: Listed, image: Grey, mask: UInt8[np.ndarray, "h w"], **facts: Any) -> RawImage:
    entry = item.entry
    return RawImage(entry.id, item.split, image, mask, entry.sequence, entry.frame, **facts)


def _shape(image: Grey) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
