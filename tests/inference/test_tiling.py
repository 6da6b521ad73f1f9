from itertools import pairwise

import numpy as np
import pytest

from irstd.inference.tiling import OVERLAP, blend, cut, window_starts

WINDOW = (16, 24)


@pytest.mark.parametrize("size", [(1, 1), (16, 24), (17, 24), (40, 100), (200, 25)])
def test_windows_cover_every_pixel_and_overlap_enough(size):
    starts = window_starts(size, WINDOW)
    for axis in (0, 1):
        firsts = sorted({start[axis] for start in starts})
        assert firsts[0] == 0
        assert firsts[-1] + WINDOW[axis] >= size[axis]
        shared = [WINDOW[axis] - (after - before) for before, after in pairwise(firsts)]
        assert all(pixels >= int(OVERLAP * WINDOW[axis]) for pixels in shared)


@pytest.mark.parametrize("size", [(5, 7), (16, 24), (33, 50), (90, 24)])
def test_cutting_and_blending_gives_the_image_back(size):
    image = np.random.default_rng(0).random(size, np.float32)
    starts = window_starts(size, WINDOW)
    windows = cut(image[None], WINDOW, starts)
    assert windows.shape == (len(starts), 1, *WINDOW)
    np.testing.assert_allclose(blend(windows[:, 0], starts, size), image, atol=1e-6)


def test_missing_pixels_are_zero():
    (window,) = cut(np.ones((1, 3, 4)), WINDOW, ((0, 0),))
    assert window.sum() == 12
    assert (window[0, :3, :4] == 1).all()
