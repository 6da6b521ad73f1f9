import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from irstd.metrics.components import label_components

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@settings(max_examples=150, deadline=None)
@given(mask=MASKS)
def test_components_equal_a_flood_fill_in_raster_order(slow, mask):
    found, expected = label_components(mask), slow.components(mask)
    assert found.count == len(expected)
    for position, pixels in enumerate(expected):
        rows, cols = zip(*pixels, strict=True)
        assert np.argwhere(found.labels == position + 1).tolist() == [list(p) for p in pixels]
        assert found.areas[position] == len(pixels)
        assert (found.row_sums[position], found.col_sums[position]) == (sum(rows), sum(cols))
        assert found.boxes[position].tolist() == [
            min(rows), min(cols), max(rows) + 1, max(cols) + 1,
        ]  # fmt: skip
    assert np.count_nonzero(found.labels) == mask.sum()
    assert found.pixels.tolist() == np.flatnonzero(mask).tolist()


def test_pixels_that_touch_at_a_corner_are_one_component():
    components = label_components(np.eye(4, dtype=bool))
    assert components.count == 1
    assert components.centroids.tolist() == [[1.5, 1.5]]


def test_a_later_arm_does_not_take_a_number_of_its_own():
    mask = np.zeros((4, 7), dtype=bool)
    mask[0:3, [0, 6]] = mask[3] = True  # a U: both arms start in row 0
    mask[1, 3] = True  # inside it
    assert label_components(mask).areas.tolist() == [13, 1]


def test_an_empty_mask_has_no_component():
    components = label_components(np.zeros((5, 6), dtype=bool))
    assert components.count == 0
    assert components.boxes.shape == (0, 4)
    assert components.centroids.shape == (0, 2)
    assert components.labels.shape == (5, 6)


def test_sums_of_a_large_component_do_not_round():
    components = label_components(np.ones((2000, 2001), dtype=bool))
    assert components.row_sums[0] == 2001 * (1999 * 2000 // 2) > 2**31
    assert components.col_sums[0] == 2000 * (2000 * 2001 // 2)


def test_moments_leave_the_label_image_behind():
    moments = label_components(np.ones((2, 2), dtype=bool)).moments
    assert not hasattr(moments, "labels")
    assert moments.centroids.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.4])
def test_large_images_are_numbered_like_small_ones_whatever_the_threads(share, threads):
    mask = np.random.default_rng(1).random((700, 650)) < share
    expected, count = ndimage.label(mask, structure=np.ones((3, 3)))  # in raster order, too
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    found = label_components(mask)
    cv2.setNumThreads(before)
    assert found.count == count
    assert np.array_equal(found.labels, expected)


def test_a_view_that_is_not_contiguous_is_labelled():
    mask = np.zeros((8, 9), dtype=bool)
    mask[1:3, 2:6] = True
    for view in (mask[::-1, ::2], mask.T, np.asfortranarray(mask)):
        assert np.array_equal(label_components(view).labels, view)
