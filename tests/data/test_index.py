from pathlib import Path

import numpy as np
import pytest

from irstd.data.index import (
    COLUMNS,
    INDEX_FILE,
    SCR_MARGIN_PX,
    checksum,
    describe,
    label_targets,
    read_index,
    scr,
    write_index,
)
from irstd.data.sources import RawImage
from irstd.errors import DataError

RNG = np.random.default_rng(1)


def scr_by_definition(image: np.ndarray, mask: np.ndarray) -> list[float]:
    """Pixel by pixel, without windows or slices."""
    labels, count = label_targets(mask)
    ratios = []
    for number in range(1, count + 1):
        places = np.argwhere(labels == number)
        low, high = places.min(axis=0) - SCR_MARGIN_PX, places.max(axis=0) + SCR_MARGIN_PX
        background = [
            float(image[row, col])
            for row, col in np.argwhere(mask == 0)
            if low[0] <= row <= high[0] and low[1] <= col <= high[1]
        ]
        target = np.mean([float(image[row, col]) for row, col in places])
        ratios.append(abs(target - np.mean(background)) / np.std(background))
    return ratios


def test_targets_are_eight_connected_in_raster_order() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]], np.uint8)
    labels, count = label_targets(mask)
    assert count == 2
    np.testing.assert_array_equal(labels, [[0, 0, 0, 1], [2, 0, 0, 0], [0, 2, 0, 0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scr_equals_its_definition(dtype: type[np.generic]) -> None:
    image = RNG.integers(0, 256, (70, 50)).astype(dtype)
    mask = np.zeros((70, 50), np.uint8)
    mask[1:3, 0:2] = 1  # clipped at the corner
    mask[6, 6] = 1  # inside the neighbourhood of the first
    mask[40:43, 30:32] = 1
    np.testing.assert_allclose(scr(image, mask), scr_by_definition(image, mask), rtol=1e-6)


def test_scr_ignores_what_is_beyond_the_margin() -> None:
    image = RNG.integers(0, 100, (100, 100)).astype(np.uint8)
    mask = np.zeros((100, 100), np.uint8)
    mask[50, 50] = 1
    before = scr(image, mask)
    image[50 + SCR_MARGIN_PX + 1, 50] = 255
    np.testing.assert_array_equal(scr(image, mask), before)
    image[50 + SCR_MARGIN_PX, 50] = 255
    assert scr(image, mask)[0] != before[0]


def test_scr_is_nan_where_undefined() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[4, 4] = 1
    flat = np.full((8, 8), 9, np.uint8)
    assert np.isnan(scr(flat, mask)).tolist() == [True]
    assert np.isnan(scr(flat, np.ones((8, 8), np.uint8))).tolist() == [True]
    assert scr(flat, np.zeros((8, 8), np.uint8)).size == 0


def test_row_describes_the_image() -> None:
    image = np.array([[0, 65535], [65535, 65535]], np.uint16)
    mask = np.array([[1, 0], [0, 0]], np.uint8)
    raw = RawImage("a", "val", image, mask, "video", 4, "sea", "by hand")
    row = describe(raw, "somewhere", 64, 128)
    assert tuple(row) == COLUMNS
    assert (row["height"], row["width"], row["dtype"], row["n_targets"]) == (2, 2, "uint16", 1)
    assert row["mean"] == pytest.approx(0.75)
    assert row["std"] == pytest.approx(np.sqrt(3) / 4)
    assert (row["sequence"], row["frame"], row["background"]) == ("video", 4, "sea")
    assert (row["image_offset"], row["mask_offset"]) == (64, 128)


def test_checksum_depends_on_pixels_mask_size_and_dtype() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    mask = np.zeros((2, 3), np.uint8)
    other = image.copy()
    other[0, 0] = 9
    marked = mask.copy()
    marked[0, 0] = 1
    sums = {
        checksum(image, mask),
        checksum(other, mask),
        checksum(image, marked),
        checksum(image.reshape(3, 2), mask.reshape(3, 2)),
        checksum(image.astype(np.uint16), mask),
    }
    assert len(sums) == 5
    assert checksum(image.astype(">u2"), mask) == checksum(image.astype("<u2"), mask)


def test_index_is_read_as_written(tmp_path: Path) -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[2, 2] = mask[6:8, 6] = 1
    image = RNG.integers(0, 256, (9, 9)).astype(np.uint8)
    rows = [
        describe(RawImage("a", "train", image, mask), "x", 0, 0),
        describe(RawImage("b", "test", image, mask, "v", 3), "x", 64, 64),
    ]
    write_index(rows, tmp_path / INDEX_FILE)
    index = read_index(tmp_path)
    assert tuple(index.columns) == COLUMNS
    assert index["target_areas"].iloc[0].tolist() == [1, 2]
    assert index["sequence"].isna().tolist() == [True, False]
    assert index["frame"].isna().tolist() == [True, False]
    assert index["frame"].iloc[1] == 3


def test_missing_or_foreign_index_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prepared data; run `irstd prepare`"):
        read_index(tmp_path)
    (tmp_path / INDEX_FILE).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"not a readable Parquet file.*run `irstd prepare` again"):
        read_index(tmp_path)


def test_index_of_another_version_is_refused(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"id": ["a"], "colour": ["red"]}).to_parquet(tmp_path / INDEX_FILE)
    with pytest.raises(DataError, match=r"columns differ from this version's: .*'colour'"):
        read_index(tmp_path)
