"""Reading listed images, and what happens to faulty ones.

| policy | a fault |
|---|---|
| fail | stops the stage, after all images were read, with the whole list |
| quarantine | leaves the image out and is listed in `quarantine.parquet` |
| repair | as quarantine, but a mask of another size is resized to its image and the row marked |

Under every policy the report of the stage lists them in `quarantine.csv`.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8

from irstd.data.index import label_targets
from irstd.data.listing import Listed
from irstd.data.pixels import Grey, decode_grey, decode_mask
from irstd.data.sources import Fault, RawImage, Source
from irstd.errors import DataError
from irstd.files import replaced

QUARANTINE_FILE, QUARANTINE_LIST = "quarantine.parquet", "quarantine.csv"
COLUMNS = ("id", "file", "reason", "action")

Policy = Literal["fail", "quarantine", "repair"]
Action = Literal["left out", "repaired", "listed once"]

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
    folder: Path, source: Source, items: Iterable[Listed], log: FaultLog
) -> Iterator[RawImage]:
    """Read listed images one by one; faulty ones go to the log.

    Raises:
        DataError: after the last image, if the policy is `fail` and the log holds a fault.
    """
    for item in items:
        raw = _read_one(folder, source, item, log)
        if raw is not None:
            yield raw
    log.check(folder)


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


def _read_one(folder: Path, source: Source, item: Listed, log: FaultLog) -> RawImage | None:
    files = source.image.format(id=item.id), source.mask.format(id=item.id)
    if not any((folder / file).exists() for file in files):
        log.add(
            Fault(item.id, files[0], f"listed for {item.split}, but it has no image and no mask")
        )
        return None
    image = _decode(folder, files[0], item.id, "image", decode_grey, log)
    mask = _decode(folder, files[1], item.id, "mask", decode_mask, log)
    if image is None or mask is None:
        return None
    if mask.shape == image.shape:
        return RawImage(item.id, item.split, image, mask)
    return _mismatch(item, files[1], image, mask, log)


def _mismatch(
    item: Listed, file: str, image: Grey, mask: UInt8[np.ndarray, "h0 w0"], log: FaultLog
) -> RawImage | None:
    height, width = image.shape
    reason = f"expected the image's size {height} x {width}, got {mask.shape[0]} x {mask.shape[1]}"
    if log.policy != "repair":
        log.add(Fault(item.id, file, reason))
        return None
    try:
        resized = resize_mask(mask, height, width)
    except DataError as error:
        log.add(Fault(item.id, file, f"{reason}; {error}"))
        return None
    log.add(Fault(item.id, file, reason), "repaired")
    repaired = f"mask resized from {mask.shape[0]} x {mask.shape[1]} by nearest neighbour"
    return RawImage(item.id, item.split, image, resized, repaired=repaired)


def _decode(
    folder: Path,
    file: str,
    name: str,
    kind: str,
    decode: Callable[[bytes], Grey],
    log: FaultLog,
) -> Grey | None:
    """Decode one file of an image; None and an entry in the log if that fails."""
    try:
        return decode((folder / file).read_bytes())
    except FileNotFoundError:
        log.add(Fault(name, file, f"the {kind} is missing"))
    except OSError as error:
        log.add(Fault(name, file, f"the {kind} cannot be read: {error.strerror}"))
    except DataError as error:
        log.add(Fault(name, file, str(error)))
    return None
