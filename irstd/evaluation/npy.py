"""NPY files, read without trust: what the header states is looked at before anything is mapped.

NumPy's reader of headers runs nothing, but a damaged header can end it in many kinds of errors.
"""

import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from irstd.errors import DataError

READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
DAMAGED = (
    *(ValueError, TypeError, LookupError, AttributeError, OverflowError),
    *(SyntaxError, tokenize.TokenError, RecursionError, MemoryError),
)
"""What a damaged header ends NumPy's reader in."""


@dataclass(frozen=True)
class NpyHeader:
    """What a file states about its array.

    Attributes:
        shape: of the array; any integers.
        dtype: of the array.
        order: of its axes.
        offset: bytes before the first value.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int


def read_npy_header(path: Path) -> NpyHeader:
    """Read the header of a file.

    Raises:
        DataError: it has none, another version, or a damaged one; the message does not name the
            file.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            shape, is_fortran, dtype = READERS[version](file)
        except DAMAGED as error:
            raise DataError(
                f"expected an array as numpy.save writes it (version 1 or 2): {error}; save it "
                "again"
            ) from error
        return NpyHeader(shape, dtype, "F" if is_fortran else "C", file.tell())


def map_npy(path: Path, header: NpyHeader) -> Shaped[np.ndarray, "..."]:
    """Map the array of a file; its shape has been checked.

    Args:
        path: the file.
        header: its own, of a plain numeric type and a shape of positive numbers.

    Raises:
        DataError: the file ends early; the message does not name it.
        OSError: the file cannot be read.
    """
    try:
        return np.memmap(path, header.dtype, "r", header.offset, header.shape, header.order)
    except (ValueError, OverflowError) as error:  # too long, or too long for any machine
        raise DataError(
            f"expected {header.shape} values of {header.dtype}, but it ends before: copy it again"
        ) from error
