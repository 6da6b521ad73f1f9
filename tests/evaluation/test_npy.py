"""NPY files: read as NumPy wrote them, hostile headers refused without harm."""

import struct
from pathlib import Path

import numpy as np
import pytest

from irstd.errors import DataError
from irstd.evaluation.npy import map_npy, read_npy_header


def with_header(text: str) -> bytes:
    header = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)


def stating(descr: str = "'|u1'", shape: str = "(8, 8)") -> bytes:
    return with_header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["?", "u1", ">u2", "<i8", "f2", ">f8"])
def test_arrays_are_what_numpy_wrote(tmp_path: Path, kind: str, order: str) -> None:
    path = tmp_path / "a.npy"
    values = np.asarray(np.arange(15).reshape(3, 5) % 2, kind, order=order)
    np.save(path, values)
    header = read_npy_header(path)
    assert (header.shape, header.dtype) == ((3, 5), values.dtype)
    np.testing.assert_array_equal(map_npy(path, header), values)


@pytest.mark.parametrize(
    "content",
    [
        with_header("(((("),
        with_header("{1:2"),
        with_header("{1: 2, 'a': 3}"),
        with_header("-" * 9000 + "1"),
        with_header("{'descr': [" * 300),
        stating(descr="['a']"),
        stating(descr="()"),
        stating(descr="[(1, 2)]"),
        stating(descr="'f99'"),
        stating(descr="('<f4', (99999999999, 99999999999))"),
        stating(shape="[8, 8]"),
        b"\x93NUMPY\x09\x00" + bytes(64),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"",
    ],
)
def test_hostile_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"an array as numpy\.save writes it .*; save it again"):
        read_npy_header(path)


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(stating(shape="(9, 8)"))
    with pytest.raises(DataError, match=r"\(9, 8\) values of uint8, but it ends before"):
        map_npy(path, read_npy_header(path))


def test_a_length_beyond_any_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(stating(shape=f"({3 * (2**31 - 1) ** 2},)"))
    with pytest.raises(DataError, match="values of uint8, but it ends before"):
        map_npy(path, read_npy_header(path))


def test_damaged_headers_are_refused_or_read(tmp_path: Path) -> None:
    """Whatever a header holds, the answer is what it states or our error."""
    path, rng = tmp_path / "a.npy", np.random.default_rng(0)
    np.save(path, np.zeros((16, 16), np.float32))
    whole, signs = path.read_bytes(), b"()[]{}'\",:.-<>|OVSUMfiub019 \\\n\0\xff"
    refused = 0
    for _ in range(600):
        content = bytearray(whole)
        for place in rng.integers(6, 75, 2):
            content[place] = signs[rng.integers(len(signs))]
        path.write_bytes(content)
        try:
            header = read_npy_header(path)
        except DataError:
            refused += 1
        else:
            assert all(isinstance(length, int) for length in header.shape)
    assert 200 < refused < 600
