"""MXNet's `.params` files: named arrays, little-endian, nothing to run.

- u64 0x112, u64 0, u64 n
- n times: u32 0xF993FAC9, i32 storage type (0: dense), u32 axes, i64 per axis, i32 device type, i32
  device number, i32 dtype, the values in C order
- u64 n
- n times: u64 length, name
- end of file
"""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from irstd.errors import ModelError

MAGIC = struct.pack("<QQ", 0x112, 0)
ARRAY, DENSE, MOST_AXES = 0xF993FAC9, 0, 32
DTYPES = dict(enumerate(("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")))


def read_params(content: bytes, path: Path) -> dict[str, Tensor]:
    """The arrays of a file by name.

    Args:
        content: of the file.
        path: the file, for messages.

    Raises:
        ModelError: a byte of it is not as stated above, or two arrays have one name.
    """
    reader = _Reader(content, path)
    reader.expect("the first 16 bytes", reader.take(len(MAGIC)).tobytes(), MAGIC)
    arrays = [reader.array() for _ in range(reader.number("<Q"))]
    reader.expect("the number of names", reader.number("<Q"), len(arrays))
    names = [reader.name() for _ in arrays]
    reader.expect("bytes behind the last name", len(content) - reader.position, 0)
    reader.expect("different names", len(set(names)), len(names))
    return dict(zip(names, arrays, strict=True))


class _Reader:
    """Takes one part after another; what a length says is checked against what is left."""

    def __init__(self, content: bytes, path: Path) -> None:
        self._content = memoryview(content)
        self._path = path
        self.position = 0

    def take(self, count: int) -> memoryview:
        left = len(self._content) - self.position
        if count > left:
            raise ModelError(
                f"{self._path}: expected {count} bytes at byte {self.position} of an MXNet "
                f".params file, got {left}; the file is damaged or cut: copy it again"
            )
        start, self.position = self.position, self.position + count
        return self._content[start : self.position]

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def expect(self, what: str, got: Any, expected: Any) -> None:
        if got != expected:
            raise ModelError(
                f"{self._path}: not an MXNet .params file as save_parameters writes it: {what}: "
                f"expected {expected!r}, got {got!r} (up to byte {self.position})"
            )

    def array(self) -> Tensor:
        self.expect("the mark of an array", self.number("<I"), ARRAY)
        self.expect("storage type (0: dense)", self.number("<i"), DENSE)
        axes = self.number("<I")
        self.expect(f"1 to {MOST_AXES} axes, got {axes}", 1 <= axes <= MOST_AXES, True)
        shape = [self.number("<q") for _ in range(axes)]
        self.expect(f"sizes of at least 1, got {shape}", min(shape) >= 1, True)
        self.take(8)  # device type and number
        dtype = self.number("<i")
        self.expect(f"a dtype from 0 to {len(DTYPES) - 1}, got {dtype}", dtype in DTYPES, True)
        kind = np.dtype(DTYPES[dtype])
        values = self.take(math.prod(shape) * kind.itemsize)
        return torch.from_numpy(np.frombuffer(values, kind).reshape(shape).copy())

    def name(self) -> str:
        try:
            return self.take(self.number("<Q")).tobytes().decode()
        except UnicodeDecodeError as error:
            raise ModelError(f"{self._path}: a name is not UTF-8 text: {error}") from error
