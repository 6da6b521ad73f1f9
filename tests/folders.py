"""Small folders in the layouts that data sets are distributed in."""

import struct
import zlib
from pathlib import Path

import numpy as np

from tests.sirst_layout import SHAPE, write_image

BOX = (slice(3, 7), slice(10, 14))
"""The target of every mask: rows 3 to 6, columns 10 to 13."""


def write_grey(path: Path, seed: int = 0) -> None:
    """Write an image without any file beside it."""
    rng = np.random.default_rng((seed, *path.name.encode()))
    write_image(path, rng.integers(0, 256, SHAPE).astype(np.uint8))


def write_target(path: Path, value: int = 255) -> None:
    """Write a mask with one target, of 4 x 4 pixels."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[BOX] = value
    write_image(path, mask)


def write_pairs(folder: Path, *pairs: tuple[str, str]) -> Path:
    """Write images and their masks at the paths given, relative to the folder."""
    for image, mask in pairs:
        write_grey(folder / image)
        write_target(folder / mask)
    return folder


def write_text(path: Path, text: str) -> None:
    """Write a text file, byte for byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def write_blank_png(path: Path, side: int, bits: int, colour: int, row_bytes: int) -> None:
    """Write a sound PNG of zeros, which packs well, without holding its pixels."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 + row_bytes)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + kind + body
        content += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(content)
