import numpy as np
import pytest

from irstd.data.construction.sizing import largest_crop, unify
from irstd.data.fitting import fill_mask
from irstd.errors import DataError


def _mask(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask


@pytest.mark.parametrize(
    ("shape", "boxes", "expected"),
    [
        ((40, 100), [], (0, 40, 25, 75)),  # no target: the middle
        ((40, 100), [(5, 2, 8, 6)], (0, 40, 2, 52)),
        ((40, 100), [(5, 90, 8, 100)], (0, 40, 50, 100)),
        ((40, 100), [(5, 60, 8, 70)], (0, 40, 25, 75)),
        ((40, 100), [(5, 30, 8, 33), (9, 70, 12, 80)], (0, 40, 30, 80)),
        ((100, 50), [(0, 3, 4, 9)], (0, 40, 0, 50)),
        ((40, 50), [(0, 0, 40, 50)], (0, 40, 0, 50)),
    ],
)
def test_the_largest_crop_holds_every_target(shape, boxes, expected) -> None:
    rows, cols = largest_crop(_mask(shape, *boxes), (512, 640))
    assert (rows.start, rows.stop, cols.start, cols.stop) == expected


def test_targets_too_far_apart_for_a_crop_are_an_error() -> None:
    with pytest.raises(DataError, match="no crop of 40 x 50 px out of 40 x 100 keeps every target"):
        largest_crop(_mask((40, 100), (5, 20, 8, 24), (5, 68, 8, 71)), (512, 640))


@pytest.mark.parametrize("method", ["fill", "crop"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_image_and_mask_stay_together_and_the_mask_binary(method: str, dtype: type) -> None:
    mask = _mask((60, 90), (20, 40, 26, 47))
    image = mask.astype(dtype) * np.iinfo(dtype).max
    resized, shaped = unify(image, mask, method, (128, 160))
    assert resized.dtype == dtype
    assert resized.shape == shaped.shape == (128, 160)
    assert set(np.unique(shaped)) == {0, 1}
    inside = resized > np.iinfo(dtype).max // 2
    assert (inside != shaped).sum() <= 0.15 * shaped.sum()  # half a pixel along the outline


def test_native_changes_nothing() -> None:
    mask = _mask((30, 33), (2, 2, 4, 4))
    image = np.arange(990, dtype=np.uint16).reshape(30, 33)
    assert unify(image, mask, "native", (32, 32)) == (image, mask)


def test_a_target_that_would_vanish_is_an_error() -> None:
    mask = _mask((400, 500), (1, 1, 2, 2), (200, 200, 240, 240))
    with pytest.raises(DataError, match="fill to 32 x 40: of 2 targets 1 would vanish; choose a"):
        unify(np.zeros((400, 500), np.uint8), mask, "fill", (32, 40))


@pytest.mark.parametrize("method", ["fill", "crop"])
def test_each_target_is_followed_by_itself(method: str) -> None:
    mask = _mask((80, 100), (10, 11, 11, 12), (40, 40, 50, 46), (40, 54, 50, 60))
    mask[44, 46:54] = 1  # joins the two squares by a line that every second pixel skips
    with pytest.raises(DataError, match=r"of 2 targets 1 would vanish, 1 would split; choose a"):
        unify(np.zeros((80, 100), np.uint8), mask, method, (40, 50))


def test_targets_that_would_merge_are_an_error() -> None:
    mask = _mask((80, 100), (10, 10, 20, 17), (10, 18, 20, 27))
    with pytest.raises(DataError, match="of 2 targets 2 would merge; choose a larger size"):
        unify(np.zeros((80, 100), np.uint8), mask, "fill", (20, 25))


def test_the_mask_of_fill_is_that_of_training() -> None:
    mask = _mask((60, 90), (20, 40, 26, 47), (1, 80, 9, 88))
    _, shaped = unify(np.zeros((60, 90), np.uint8), mask, "fill", (128, 160))
    np.testing.assert_array_equal(shaped, fill_mask(mask, (128, 160)))


@pytest.mark.parametrize("size", [(32, 8192), (8192, 32)])
def test_a_crop_without_pixels_is_an_error(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="128 x 100 px have no crop as narrow as"):
        unify(np.zeros((128, 100), np.uint8), _mask((128, 100)), "crop", size)
