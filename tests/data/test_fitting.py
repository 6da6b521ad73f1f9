"""The fill unification of ISPANet, section III, and averages over areas."""

import numpy as np
import pytest

from irstd.data.fitting import fill_image, fill_mask, fill_shape, resize_averaged


@pytest.mark.parametrize(
    ("image", "padded"),
    [
        ((1024, 1280), (1024, 1280)),
        ((512, 640), (512, 640)),
        ((200, 300), (240, 300)),  # too wide for 4 : 5, padded below
        ((300, 300), (300, 375)),  # too tall, padded at the right
        ((1, 1), (1, 2)),
    ],
)
def test_one_side_is_padded_to_the_aspect_ratio(image, padded):
    assert fill_shape(*image, (1024, 1280)) == padded


def test_values_stay_and_padding_is_zero():
    image = np.full((100, 300), 0.5, np.float32)
    filled = fill_image(image, (256, 320))
    assert filled.shape == (256, 320)
    assert filled[:100].min() == pytest.approx(0.5)
    assert not filled[110:].any()


def test_a_mask_stays_binary_and_keeps_its_place():
    mask = np.zeros((100, 125), np.uint8)
    mask[50:54, 60:66] = 1
    filled = fill_mask(mask, (200, 250))
    assert set(np.unique(filled)) == {0, 1}
    rows, cols = np.nonzero(filled)
    assert (rows.min(), rows.max() + 1, cols.min(), cols.max() + 1) == (100, 108, 120, 132)
    image = fill_image(mask.astype(np.float32), (200, 250))
    assert np.array_equal(image > 0.5, filled > 0)


def test_a_side_that_shrinks_is_averaged_whatever_the_other_does():
    plane = np.zeros((64, 64), np.float32)
    plane[17, 30] = 1.0
    assert resize_averaged(plane, (16, 128)).sum() == pytest.approx(2 / 4)
    assert resize_averaged(plane.T, (128, 16)).sum() == pytest.approx(2 / 4)
    assert resize_averaged(plane, (16, 64)).sum() == pytest.approx(1 / 4)
