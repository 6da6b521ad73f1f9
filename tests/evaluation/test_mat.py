"""MAT files: read as SciPy wrote them, damaged ones refused without harm."""

from pathlib import Path

import numpy as np
import pytest
from scipy import io

from irstd.errors import DataError
from irstd.evaluation.mat import read_mat


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_mat_files_are_refused_or_read(tmp_path: Path, packed: bool) -> None:
    """Whatever a file holds, the answer is an array of the right size or our error."""
    path, rng = tmp_path / "a.mat", np.random.default_rng(0)
    mask = np.zeros((16, 16), np.uint8)
    mask[3, 5] = 1
    io.savemat(path, {"T": mask}, do_compression=packed)
    whole = path.read_bytes()
    np.testing.assert_array_equal(read_mat(path, (16, 16)), mask)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(120, min(len(whole), 250), 2):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(whole) - 40, len(whole) + 1)])
        try:
            assert read_mat(path, (16, 16)).shape == (16, 16)
        except DataError:
            refused += 1
    assert refused > 50


def test_a_mat_file_unpacks_no_more_than_its_image_needs(tmp_path: Path) -> None:
    """A file of 16 kB that would unpack to 16 MB."""
    path = tmp_path / "a.mat"
    io.savemat(path, {"T": np.zeros((4096, 512))}, do_compression=True)
    assert path.stat().st_size < 1 << 15
    with pytest.raises(DataError, match="ends inside an element"):
        read_mat(path, (16, 16))


@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
def test_mat_arrays_are_what_scipy_wrote(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mat"
    values = np.random.default_rng(1).integers(0, 2, (5, 3)).astype(kind)
    for packed in (False, True):
        io.savemat(path, {"a_long_name_of_the_map": values}, do_compression=packed)
        read = read_mat(path, (5, 3))
        assert read.dtype == kind
        np.testing.assert_array_equal(read, values)
