"""MAT files with one plain array, read without trust.

SciPy's reader can be crashed by a damaged file, and reads far more than arrays of numbers. This one
checks each length before it reads, and knows nothing but real numeric and logical matrices.

Reference: MathWorks, MAT-File Format, chapter "Level 5 MAT-File Format".
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from irstd.errors import DataError

HEADER, TAG, SMALL = 128, 8, 4
"""Bytes of the file's header, of an element's tag, and of the data in a small element."""

ORDERS = {b"IM": "<", b"MI": ">"}
LEVEL_5, LEVEL_73 = 0x0100, 0x0200
MATRIX, COMPRESSED = 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Element types of numbers."""

CLASSES = dict(enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6))
"""Array classes of numbers; 1 to 5 are cells, structures, objects, text and sparse matrices."""

COMPLEX, LOGICAL = 0x0800, 0x0200

OVERHEAD = 1 << 20
"""Bytes allowed beside an array in double precision, written twice."""

Element = tuple[int, bytes]
"""Type and data."""


def read_mat(path: Path, shape: tuple[int, int]) -> Shaped[np.ndarray, "h w"]:
    """The array of a MAT file (versions 5 to 7) that holds one variable.

    Args:
        path: the file.
        shape: that the array must have; bounds what is read and unpacked.

    Returns:
        (H, W) in the type of the variable.

    Raises:
        DataError: another version, no or several variables, no real numeric matrix of that shape,
            a damaged file, or one that is too large.
    """
    limit = 16 * shape[0] * shape[1] + OVERHEAD
    if path.stat().st_size > limit:
        raise DataError(
            f"{path.stat().st_size} bytes are too many for one array of {shape}, at most {limit}"
        )
    content = path.read_bytes()
    order = ORDERS.get(content[HEADER - 2 : HEADER], "")
    version = int(np.frombuffer(content[HEADER - 4 : HEADER - 2], f"{order}u2")[0]) if order else 0
    if version == LEVEL_73:
        raise DataError(
            "it has version 7.3 (HDF5); save it in MATLAB by save(..., '-v7'), or as NPY or PNG"
        )
    if version != LEVEL_5:
        raise DataError("it is no MAT file of version 5 to 7; save it again, or as NPY or PNG")
    elements = [_unpacked(element, order, limit) for element in _elements(content[HEADER:], order)]
    if len(elements) != 1 or elements[0][0] != MATRIX:
        raise DataError(f"expected one variable in it, got {len(elements)}; save the map alone")
    return _matrix(elements[0][1], order, shape)


def _elements(content: bytes, order: str) -> Iterator[Element]:
    """Elements one after another; each but a compressed one begins at a multiple of 8 bytes."""
    start = 0
    while start < len(content):
        head = content[start : start + TAG]
        if len(head) < TAG:
            raise DataError("it ends inside an element; copy it again")
        first, size = (int(value) for value in np.frombuffer(head, f"{order}u4"))
        if first >> 16:  # size and type share the first word, the data are in the second
            kind, size, begin, end = first & 0xFFFF, first >> 16, start + SMALL, start + TAG
        else:
            kind, begin = first, start + TAG
            end = begin + size + (0 if kind == COMPRESSED else -size % 8)
        if begin + size > min(end, len(content)):
            raise DataError("it ends inside an element; copy it again")
        yield kind, content[begin : begin + size]
        start = end


def _unpacked(element: Element, order: str, limit: int) -> Element:
    kind, data = element
    if kind != COMPRESSED:
        return element
    try:
        plain = zlib.decompressobj().decompress(data, limit)
    except zlib.error as error:
        raise DataError(f"its compressed data are damaged ({error}); copy it again") from error
    (inner,) = list(_elements(plain, order))[:1] or [(0, b"")]
    return inner


def _matrix(data: bytes, order: str, shape: tuple[int, int]) -> Shaped[np.ndarray, "h w"]:
    """Flags, dimensions, name and values, in this order."""
    parts = list(_elements(data, order))
    expected = f"expected a real numeric or logical matrix of {shape}"
    if len(parts) < 4 or len(parts[0][1]) != 8 or len(parts[1][1]) % 4:
        raise DataError(f"{expected}, got something else")
    flags = int(np.frombuffer(parts[0][1], f"{order}u4")[0])
    stated = tuple(np.frombuffer(parts[1][1], f"{order}i4").tolist())
    array_class, (kind, values) = CLASSES.get(flags & 0xFF), parts[3]
    if array_class is None or flags & COMPLEX or kind not in TYPES or stated != shape:
        raise DataError(f"{expected}, got class {flags & 0xFF} of {stated}")
    stored = np.dtype(f"{order}{TYPES[kind]}")
    if len(values) != stored.itemsize * shape[0] * shape[1]:
        raise DataError(f"{expected}, got {len(values)} bytes of {stored.name}")
    columns = np.frombuffer(values, stored).astype(bool if flags & LOGICAL else array_class)
    return columns.reshape(shape, order="F")
