import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from irstd.errors import ModelError
from irstd.models.checkpoints import find_tensors
from irstd.models.mxnet_params import DTYPES, read_params

PATH = Path("weights.params")
ARRAYS = {
    "stem.1.weight": np.arange(24, dtype="<f4").reshape(2, 3, 4),
    "stem.2.gamma": np.array([1.5, -2.0], "<f8"),
    "half": np.array([0.5], "<f2"),
    "bytes": np.array([[255]], "u1"),
    "whole": np.array([-7, 2**31 - 1], "<i4"),
    "small": np.array([-128], "i1"),
    "long": np.array([2**40], "<i8"),
}


def header(count: int, magic: int = 0x112, reserved: int = 0) -> bytes:
    return struct.pack("<QQQ", magic, reserved, count)


def array(values: np.ndarray, mark: int = 0xF993FAC9, storage: int = 0) -> bytes:
    numbers = {kind: number for number, kind in DTYPES.items()}
    dtype = next(number for kind, number in numbers.items() if np.dtype(kind) == values.dtype)
    head = struct.pack("<IiI", mark, storage, values.ndim)
    sizes = struct.pack(f"<{values.ndim}q", *values.shape)
    return head + sizes + struct.pack("<iii", 2, 1, dtype) + values.tobytes()


def name(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def write(arrays: dict[str, np.ndarray]) -> bytes:
    count = struct.pack("<Q", len(arrays))
    return header(len(arrays)) + b"".join([*map(array, arrays.values()), count, *map(name, arrays)])


def test_every_dtype_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.params").write_bytes(write(ARRAYS))
    read = find_tensors(tmp_path / "w.params")["the file"]
    assert list(read) == list(ARRAYS)
    for key, values in ARRAYS.items():
        torch.testing.assert_close(read[key], torch.from_numpy(values.copy()), rtol=0, atol=0)


def test_a_cut_file_is_refused() -> None:
    whole = write(ARRAYS)
    for end in range(len(whole)):
        with pytest.raises(ModelError, match=r"weights\.params"):
            read_params(whole[:end], PATH)


ONE = np.ones(2, "<f4")
NAMES = struct.pack("<Q", 1) + name("w")
HUGE = struct.pack("<IiI", 0xF993FAC9, 0, 2) + struct.pack("<2q", 2**40, 2**40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(1, magic=0x113) + array(ONE) + NAMES, "the first 16 bytes"),
        (header(1, reserved=1) + array(ONE) + NAMES, "the first 16 bytes"),
        (header(1) + array(ONE, mark=0xF993FAC8) + NAMES, "mark of an array: expected 41872247"),
        (header(1) + array(ONE, storage=1) + NAMES, r"dense.*: expected 0, got 1"),
        (header(1) + array(np.float32(1)[()].reshape(())) + NAMES, "1 to 32 axes, got 0"),
        (header(1) + array(ONE)[:-12] + struct.pack("<i", 7) + bytes(8) + NAMES, "got 7"),
        (header(1) + array(ONE[:0]) + NAMES, r"sizes of at least 1, got \[0\]"),
        (header(1) + HUGE + bytes(12) + NAMES, "expected 4835703278458516698824704"),
        (header(2**60), "expected 4 bytes at byte 24"),
        (header(1) + array(ONE) + struct.pack("<Q", 2) + name("w"), "the number of names"),
        (header(1) + array(ONE) + struct.pack("<QQ", 1, 2**62), "expected 4611686018427387904"),
        (header(1) + array(ONE) + NAMES + b"x", "behind the last name: expected 0, got 1"),
        (header(1) + array(ONE) + struct.pack("<QQ", 1, 1) + b"\xff", "not UTF-8"),
        (write({"w": ONE})[:16] + struct.pack("<Q", 2) + array(ONE) * 2
         + struct.pack("<Q", 2) + name("w") * 2, "different names: expected 2, got 1"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_params(content, PATH)
