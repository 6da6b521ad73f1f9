"""Frames in MATLAB files, as NUDT-MIRSDT is distributed (layout V1)."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from irstd.data.entries import Found, pair
from irstd.data.pixels import MAX_PIXELS, Grey
from irstd.data.tree import Tree
from irstd.errors import DataError

T = TypeVar("T")

VARIABLE = "Mix"
"""Name of the array (frames, H, W); the last frame is the current one."""

NUMERIC = {"double", "single", "logical"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""Classes of MATLAB whose arrays hold one number per element."""

MAX_BYTES = 8 * MAX_PIXELS + (1 << 16)
"""Most bytes of a file's arrays unpacked: doubles, and their headers."""

HEADER_BYTES = 128
LISTED = 5  # arrays that a message names
PACKED = 15
"""Type of a compressed element (MAT-File Format, level 5)."""

REFUSALS = (MatReadError, ValueError, TypeError, KeyError, NotImplementedError, OSError)
"""What SciPy raises on files that it does not understand; it runs nothing in them."""


def collect_slices(tree: Tree) -> Found:
    """Pair `Sequence<N>/Mix/<frame>.mat` with `Sequence<N>/masks/<frame>.png`."""
    images = tree.matching(r"(?P<sequence>Sequence\d+)/Mix/(?P<name>[^/]+)\.mat")
    masks = tree.matching(r"(?P<sequence>Sequence\d+)/masks/(?P<name>[^/]+)\.png")
    return pair(images, masks, {})


def decode_slice(content: bytes) -> Grey:
    """Current frame of a file, (H, W), uint8 or uint16.

    Raises:
        DataError: no MATLAB file, no or several such arrays, more than `MAX_PIXELS`, more than
            `MAX_BYTES` unpacked, or values that are no whole grey values.
    """
    _check_unpacked(content)
    shape = _read(lambda: _stated_shape(content))
    if len(shape) != 3 or int(np.prod(shape, dtype=object)) > MAX_PIXELS:
        raise DataError(
            f"expected {VARIABLE} as (frames, H, W) of at most {MAX_PIXELS} values, got the "
            f"shape {shape}"
        )
    frames = _read(lambda: scipy.io.loadmat(_file(content), variable_names=[VARIABLE]))
    frame = np.asarray(frames[VARIABLE])[-1]
    if frame.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(frame)
    whole = np.issubdtype(frame.dtype, np.number) and np.isrealobj(frame)
    if not (whole and bool(np.all((frame >= 0) & (frame <= 255) & (frame == np.floor(frame))))):
        raise DataError(f"expected whole grey values from 0 to 255, got {frame.dtype} with others")
    return np.asarray(frame, dtype=np.uint8)


def _file(content: bytes) -> Any:
    """A file object; SciPy's types know only names of files."""
    return io.BytesIO(content)


def _stated_shape(content: bytes) -> tuple[int, ...]:
    stated = scipy.io.whosmat(_file(content))
    shapes = [shape for name, shape, kind in stated if name == VARIABLE and kind in NUMERIC]
    if len(shapes) != 1 or [name for name, *_ in stated].count(VARIABLE) != 1:
        found = ", ".join(f"{name} ({kind})" for name, _, kind in stated[:LISTED])
        raise DataError(f"expected one array {VARIABLE} of numbers, got {found or 'none'}")
    return tuple(shapes[0])


def _check_unpacked(content: bytes) -> None:
    """Refuse a file whose compressed elements hold more than `MAX_BYTES`, unpacking no more."""
    order: Literal["little", "big"] = "big" if content[126:128] == b"MI" else "little"
    place, left = HEADER_BYTES, MAX_BYTES
    while place + 8 <= len(content):
        kind, size = (int.from_bytes(content[at : at + 4], order) for at in (place, place + 4))
        if kind == PACKED:
            unpacker = partial(zlib.decompressobj().decompress, max_length=left + 1)
            left -= len(_read(partial(unpacker, content[place + 8 : place + 8 + size])))
        if left < 0:
            raise DataError(f"expected arrays of at most {MAX_BYTES} bytes, the file holds more")
        place += 8 + size


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except (*REFUSALS, zlib.error, struct.error) as error:
        raise DataError(f"expected a MATLAB file of version 5 or older: {error}") from error
