import numpy as np
import pytest

from irstd.data.clutter import CLUTTER, HOT, add_clutter, block, pixels, spot, streak


@pytest.mark.parametrize("background", CLUTTER)
def test_clutter_is_hot_and_leaves_the_rest_alone(background: str) -> None:
    scene = np.full((96, 96), 0.2)
    results = [add_clutter(np.random.default_rng(s), scene, background, 3) for s in range(10)]
    assert np.mean([image.max() for image in results]) > HOT[0]
    assert all(image.min() >= 0.2 - 1e-9 and image.max() <= HOT[1] for image in results)
    assert np.mean([np.median(image) for image in results]) == pytest.approx(0.2, abs=0.02)
    assert np.array_equal(scene, np.full((96, 96), 0.2))


def test_no_clutter_is_the_scene() -> None:
    scene = np.random.default_rng(0).random((32, 32))
    assert np.array_equal(add_clutter(np.random.default_rng(1), scene, "sky", 0), scene)


@pytest.mark.parametrize("kind", [spot, streak, block])
def test_extended_clutter_is_larger_than_a_target(kind) -> None:
    """A target of sigma 1.6 px covers 25 pixels above a quarter of its peak."""
    areas = [(kind(np.random.default_rng(s), (128, 128)) > 0.25).sum() for s in range(30)]
    assert np.median(areas) > 25


def test_hot_pixels_have_no_skirt() -> None:
    image = pixels(np.random.default_rng(2), (64, 64))
    assert 1 <= np.count_nonzero(image) <= 5
    assert image[image > 0].min() >= 0.4
