"""Frames in MATLAB files, as NUDT-MIRSDT is distributed (layout V1)."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

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
        DataError: no MATLAB file, no such array, more than `MAX_PIXELS`, or values that are
            no whole grey values.
    """
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
    stated = {name: shape for name, shape, _ in scipy.io.whosmat(_file(content))}
    if VARIABLE not in stated:
        raise DataError(f"expected the array {VARIABLE}, got {', '.join(stated) or 'none'}")
    return tuple(stated[VARIABLE])


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except (*REFUSALS, zlib.error, struct.error) as error:
        raise DataError(f"expected a MATLAB file of version 5 or older: {error}") from error
