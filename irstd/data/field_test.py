"""The images of the field test, wherever copies of them are found.

SIRST-V2 holds them among its others, so the name of a source does not tell. They are known by
their pixels: another name, another order or another mask changes nothing.
"""

from collections import defaultdict
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
from jaxtyping import Bool, Int64

from irstd.data.index import checksum
from irstd.data.pixels import Grey
from irstd.data.store import PreparedData

IMAGES_FILE = "field_test.txt"
"""One line for each image: height, width, SHA-256 of `pixel_checksum`, id in SIRST-V2."""

_NO_MASK = np.zeros((0, 0), np.uint8)


def pixel_checksum(image: Grey) -> str:
    """SHA-256 (hexadecimal) of dtype, size and pixels; of no mask."""
    return checksum(image, _NO_MASK)


def known_images() -> Mapping[tuple[int, int], frozenset[str]]:
    """Checksums of the field test's images by (height, width)."""
    text = files("irstd.data").joinpath("assets", IMAGES_FILE).read_text(encoding="utf-8")
    known = defaultdict(set)
    for line in text.splitlines():
        height, width, found, _ = line.split()
        known[int(height), int(width)].add(found)
    return {size: frozenset(found) for size, found in known.items()}


def in_field_test(data: PreparedData, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which prepared images are images of the field test; only those of their sizes are read.

    Args:
        data: prepared images.
        rows: which of them are asked about.
    """
    known = known_images()
    sizes = data.index[["height", "width"]].to_numpy(np.int64)[rows].tolist()
    return np.array(
        [
            (height, width) in known
            and pixel_checksum(data.image(int(row))) in known[height, width]
            for row, (height, width) in zip(rows, sizes, strict=True)
        ],
        dtype=bool,
    )
