import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from irstd.data.layouts import open_contents
from irstd.data.listing import resolve
from irstd.data.slices import decode_slice
from irstd.errors import DataError
from tests.data.test_generic import read
from tests.folders import write_target, write_text
from tests.sirst_layout import SHAPE

FRAMES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE))


def mat(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, arrays, do_compression=True)
    return file.getvalue()


def cell(inner: np.ndarray) -> np.ndarray:
    values = np.empty((1, 1, 1), dtype=object)
    values[0, 0, 0] = inner
    return values


def bomb(size: int) -> bytes:
    """A compressed element that holds many zeros."""
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    return struct.pack("<II", 15, len(packed)) + packed


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_the_last_slice_is_the_current_frame(tmp_path: Path, dtype: type) -> None:
    folder = tmp_path / "Sequence47"
    (folder / "Mix").mkdir(parents=True)
    (folder / "Mix" / "00001.mat").write_bytes(mat(Mix=FRAMES.astype(dtype)))
    write_target(folder / "masks" / "00001.png")
    write_target(tmp_path / "Sequence48" / "masks" / "00001.png")
    contents = open_contents(tmp_path)
    images, reasons = read(contents)
    assert (contents.layout, reasons) == ("V1", ["a mask without image"])
    np.testing.assert_array_equal(images["Sequence47_00001"].image, FRAMES[-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a MATLAB file"),
        (b"no matrix" * 40, "expected a MATLAB file"),
        (mat(Mix=FRAMES)[:200], "expected a MATLAB file"),
        (mat(other=FRAMES), r"expected one array Mix of numbers, got other \(int64\)"),
        (mat(Mix=cell(FRAMES)), r"expected one array Mix of numbers, got Mix \(cell\)"),
        (mat(Mix=FRAMES) + mat(Mix=FRAMES)[128:], r"got Mix \(int64\), Mix \(int64\)"),
        (mat(Mix=FRAMES) + bomb(1 << 30), "expected arrays of at most 268500992 bytes"),
        (mat(Mix=FRAMES[0]), r"got the shape \(24, 32\)"),
        (mat(Mix=FRAMES / 255.0), "expected whole grey values from 0 to 255"),
        (mat(Mix=np.full((1, 8, 8), np.nan)), "expected whole grey values"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_slice(content)


def test_lists_name_the_files_of_frames(tmp_path: Path) -> None:
    for frame in ("00001", "00002"):
        (tmp_path / "Sequence1" / "Mix").mkdir(parents=True, exist_ok=True)
        (tmp_path / "Sequence1" / "Mix" / f"{frame}.mat").write_bytes(mat(Mix=FRAMES))
        write_target(tmp_path / "Sequence1" / "masks" / f"{frame}.png")
    assert open_contents(tmp_path).layout == "V1"  # a folder of one sequence is not entered
    (tmp_path / "Sequence1" / "masks" / "00002.png").unlink()
    lines = [f"Sequence1/Mix/0000{frame}.mat" for frame in (1, 2, 3)]
    write_text(tmp_path / "train.txt", "\r\n".join(lines))
    write_text(tmp_path / "test.txt", "Sequence1/Mix/00001")
    listing = resolve(open_contents(tmp_path), {"train": ("train.txt",)})
    assert [item.id for item in listing.items] == ["Sequence1_00001"]
    assert [(fault.id, fault.file) for fault in listing.missing] == [
        ("Sequence1_00002", "Sequence1/masks/00002.png"),
        (lines[2], "train.txt"),
    ]
    listing = resolve(open_contents(tmp_path), {"test": ("test.txt",)})
    assert [item.id for item in listing.items] == ["Sequence1_00001"]
