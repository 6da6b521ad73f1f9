"""Augmentation moves image and mask together and keeps masks binary."""

import numpy as np
import pytest

from irstd.config import AugmentationParams, CropParams
from irstd.data.transforms import augment, random_crop, random_scale

PAPER = AugmentationParams.model_validate(
    {
        "long_side_scale": {"low": 0.5, "high": 2.0},
        "aspect_ratio": {"low": 0.58, "high": 1.85},
        "target_crop": 0.8,
        "flip": 0.5,
        "noise_std": 0.02,
    }
)
CROP = CropParams(height=32, width=64)


def scene(height: int = 90, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((height, width), np.uint8)
    mask[40:46, 70:78] = 1
    return (0.2 + 0.6 * mask).astype(np.float32), mask


def test_image_and_mask_move_together():
    image, mask = scene()
    for seed in range(40):
        crop, target = augment(
            image,
            mask,
            CROP,
            PAPER.model_copy(update={"noise_std": 0.0}),
            np.random.default_rng(seed),
        )
        assert crop.shape == target.shape == (32, 64)
        assert crop.dtype == np.float32
        assert set(np.unique(target)) <= {0, 1}
        if target.any():
            # Along the border a pixel is half covered; inside and outside it is not.
            assert crop[target == 1].mean() > 0.6
        assert crop[target == 0].mean() < 0.35


def test_the_same_seed_gives_the_same_crop():
    image, mask = scene()
    one, other = (augment(image, mask, CROP, PAPER, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    different = augment(image, mask, CROP, PAPER, np.random.default_rng(4))
    assert not np.array_equal(one[0], different[0])


def test_scales_stay_in_the_paper_s_range():
    image, mask = scene(100, 100)
    shapes = [
        random_scale(image, mask, PAPER, np.random.default_rng(seed))[0].shape
        for seed in range(300)
    ]
    long_sides = [max(shape) / 100 for shape in shapes]
    ratios = [width / height for height, width in shapes]
    assert 0.5 <= min(long_sides) < 0.55
    assert 1.85 < max(long_sides) <= 2.0
    # A side of at least 27 pixels is rounded by half a pixel at most.
    assert 0.58 * 0.97 <= min(ratios) < 0.65
    assert 1.7 < max(ratios) <= 1.85 * 1.03


def test_crops_hold_a_target_as_often_as_asked():
    image, mask = scene(256, 256)
    small = CropParams(height=32, width=32)
    rng = np.random.default_rng(0)
    always = [random_crop(image, mask, small, 1.0, rng)[1].any() for _ in range(50)]
    never = [random_crop(image, mask, small, 0.0, rng)[1].any() for _ in range(400)]
    assert all(always)
    # A crop meets the 6 x 8 target in (31 + 6)(31 + 8) of 225^2 positions: 11 of 400 expected.
    assert 1 <= sum(never) <= 30


def test_a_small_image_is_padded_with_zeros():
    image, mask = np.ones((10, 20), np.float32), np.ones((10, 20), np.uint8)
    crop, target = random_crop(image, mask, CROP, 1.0, np.random.default_rng(0))
    assert crop.shape == (32, 64)
    assert crop.sum() == target.sum() == 200


@pytest.mark.parametrize("side", [1, 7])
def test_tiny_images_and_empty_masks_work(side):
    image, mask = np.full((side, side), 0.5, np.float32), np.zeros((side, side), np.uint8)
    crop, target = augment(image, mask, CROP, PAPER, np.random.default_rng(1))
    assert crop.shape == (32, 64)
    assert not target.any()
    assert 0 <= crop.min() <= crop.max() <= 1
