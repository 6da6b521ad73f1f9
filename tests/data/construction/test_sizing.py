import numpy as np
import pytest

from irstd.data.construction.sizing import largest_crop, unify
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
    with pytest.raises(DataError, match="fill to 32 x 40 would turn 2 targets into 1"):
        unify(np.zeros((400, 500), np.uint8), mask, "fill", (32, 40))
