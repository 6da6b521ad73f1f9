"""Augmentation moves frames and mask together and keeps masks binary where they should be."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from irstd.config import AugmentationParams, CropParams, ScaleParams
from irstd.data.fitting import resize_averaged, resize_bilinear
from irstd.data.transforms import augment, draw_window, resize_mask, scaled_size
from irstd.inference.preprocess import Preprocessing
from irstd.models.spec import SizeRule

SCALE = {
    "name": "scale",
    "long_side_scale": {"low": 0.5, "high": 2.0},
    "aspect_ratio": {"low": 0.58, "high": 1.85},
    "target_crop": 0.8,
    "pad": "black",
}
NATIVE = {"name": "native", "target_crop": 0.0, "pad": "mean"}
LONG_SIDE = {
    "name": "long_side",
    "long_side_px": {"low": 60, "high": 180},
    "target_crop": 0.5,
    "pad": "black",
}
SHORTER_SIDE = {"name": "shorter_side", "target_crop": 0.0}
STRETCH = {"name": "stretch", "window": {"low": 1.0, "high": 1.0}}
WINDOW = {"name": "stretch", "window": {"low": 0.5, "high": 1.0}}
GEOMETRIES = [SCALE, NATIVE, LONG_SIDE, SHORTER_SIDE, STRETCH, WINDOW]
CROP = CropParams(height=32, width=64)
SQUARE = CropParams(height=48, width=48)


def settings(geometry: dict[str, Any], mask: str = "half", **changes: float) -> AugmentationParams:
    """The geometry, and nothing else but the changes."""
    shares = ("flip_horizontal", "flip_vertical", "transpose", "blur")
    still = dict.fromkeys((*shares, "brightness", "contrast", "noise_std"), 0.0)
    return AugmentationParams.model_validate(
        {"geometry": geometry, "mask": mask, **still, **changes}
    )


def scene(height: int = 90, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((height, width), np.uint8)
    mask[40:46, 70:78] = 1
    return (0.2 + 0.6 * mask).astype(np.float32)[None], mask


def run(chosen: AugmentationParams, seed: int, crop: CropParams = CROP, frames: int = 1) -> Any:
    image, mask = scene()
    stack = np.repeat(image, frames, axis=0)
    return augment(stack, mask, crop, chosen, 0.2, np.random.default_rng(seed))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g["name"])
def test_image_and_mask_move_together(geometry):
    chosen = settings(geometry, flip_horizontal=0.5, flip_vertical=0.5, transpose=0.5)
    for seed in range(40):
        frames, target = run(chosen, seed, SQUARE)
        assert frames.shape == (1, 48, 48)
        assert target.shape == (48, 48)
        assert frames.dtype == target.dtype == np.float32
        assert set(np.unique(target)) <= {0, 1}
        if target.any():
            # Along the border a pixel is half covered; inside and outside it is not.
            assert frames[0][target == 1].mean() > 0.55
        assert frames[0][target == 0].mean() < 0.35


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g["name"])
def test_the_same_seed_gives_the_same_crop(geometry):
    chosen = settings(geometry, flip_horizontal=0.5, blur=0.5, contrast=0.5, noise_std=0.02)
    one, other = run(chosen, 3), run(chosen, 3)
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    assert not np.array_equal(one[0], run(chosen, 4)[0])


def test_scales_stay_in_the_paper_s_range():
    paper = ScaleParams.model_validate(SCALE)
    sizes = [scaled_size((100, 100), paper, np.random.default_rng(seed)) for seed in range(300)]
    long_sides = [max(size) / 100 for size in sizes]
    ratios = [width / height for height, width in sizes]
    assert 0.5 <= min(long_sides) < 0.55
    assert 1.85 < max(long_sides) <= 2.0
    # A side of at least 27 pixels is rounded by half a pixel at most.
    assert 0.58 * 0.97 <= min(ratios) < 0.65
    assert 1.7 < max(ratios) <= 1.85 * 1.03


def sides_of_square(geometry: dict[str, Any], crop: CropParams) -> set[int]:
    """Sides of a bright image of 100 x 100 within black padding."""
    image, mask = np.ones((1, 100, 100), np.float32), np.zeros((100, 100), np.uint8)
    found = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        frames, _ = augment(image, mask, crop, settings(geometry), 0.0, rng)
        found.add(int(frames[0, :, 0].sum()))
    return found


def test_the_long_side_comes_to_a_number_of_pixels():
    found = sides_of_square(LONG_SIDE, CropParams(height=200, width=200))
    assert 60 <= min(found) < 75
    assert 165 < max(found) <= 180


def test_the_shorter_side_fills_the_crop():
    image, mask = scene(90, 120)
    small = CropParams(height=30, width=30)
    frames, _ = augment(image, mask, small, settings(SHORTER_SIDE), 0.0, np.random.default_rng(0))
    assert frames.shape == (1, 30, 30)
    assert frames.min() > 0.1, "no padding"
    wide = CropParams(height=30, width=60)
    frames, _ = augment(image, mask, wide, settings(SHORTER_SIDE), 0.0, np.random.default_rng(0))
    assert frames.min() > 0.1


def test_the_whole_image_is_stretched_and_a_window_of_it():
    image, mask = scene()
    frames, target = run(settings(STRETCH), 0)
    covered = resize_bilinear(mask.astype(np.float32), (32, 64))
    assert np.array_equal(frames[0], resize_bilinear(image[0], (32, 64)))
    assert np.array_equal(target, covered > 0.5)
    areas = [run(settings(WINDOW), seed)[1].sum() for seed in range(40)]
    whole = target.sum()
    assert max(areas) > 1.5 * whole, "a window of half the side shows the target larger"
    assert max(areas) < 5 * whole


@pytest.mark.parametrize("geometry", [STRETCH, SHORTER_SIDE], ids=lambda g: g["name"])
@pytest.mark.parametrize("shape", [(90, 180), (20, 40)])
def test_training_and_inference_resize_alike(geometry, shape):
    image = np.random.default_rng(1).integers(0, 65536, shape, np.uint16)
    unit = (image / np.float32(65535))[None]
    mask = np.zeros(shape, np.uint8)
    frames, _ = augment(unit, mask, CROP, settings(geometry), 0.0, np.random.default_rng(0))
    facts = Preprocessing(1, (0.0,), (1.0,), SizeRule(), "stretch", (32, 64), None)
    np.testing.assert_array_equal(frames, facts.apply(image)[0][0])


@pytest.mark.parametrize("geometry", [SCALE, LONG_SIDE], ids=lambda g: g["name"])
def test_a_drawn_smaller_scale_keeps_a_point_s_energy(geometry):
    quarter = {
        "long_side_scale": {"low": 0.25, "high": 0.25},
        "long_side_px": {"low": 16, "high": 16},
    }
    still = {"aspect_ratio": {"low": 1.0, "high": 1.0}}
    chosen = {name: (quarter | still).get(name, value) for name, value in geometry.items()}
    crop = CropParams(height=16, width=16)
    for place in range(20, 24):
        image, mask = np.zeros((1, 64, 64), np.float32), np.zeros((64, 64), np.uint8)
        image[0, place, place] = 1.0
        rng = np.random.default_rng(0)
        frames, _ = augment(image, mask, crop, settings(chosen), 0.0, rng)
        assert frames.sum() == pytest.approx(1 / 16)


@pytest.mark.parametrize("resize", [resize_averaged, resize_bilinear])
@pytest.mark.parametrize("size", [(40, 50), (90, 120), (130, 200), (50, 200), (150, 70)])
def test_a_mask_is_resized_as_an_image_would_be(resize, size):
    mask = scene()[1]
    mask[3, 5] = mask[80, 110] = mask[89, 0] = 1
    expected = resize(mask.astype(np.float32), size)
    np.testing.assert_allclose(resize_mask(mask, size, resize), expected, atol=1e-5)
    assert not resize_mask(np.zeros_like(mask), size, resize).any()


@pytest.mark.parametrize("rule", ["half", "any", "soft"])
def test_a_mask_pixel_by_the_share_that_is_covered(rule):
    image = np.zeros((1, 4, 8), np.float32)
    mask = np.zeros((4, 8), np.uint8)
    mask[:2, 2] = 1  # half of one pixel of 2 x 2
    mask[2:, 4:6] = 1  # a whole one
    mask[0, 7] = 1  # a quarter
    crop = CropParams.model_construct(height=2, width=4)
    _, target = augment(image, mask, crop, settings(STRETCH, rule), 0.0, np.random.default_rng(0))
    expected = {
        "half": [[0, 0, 0, 0], [0, 0, 1, 0]],
        "any": [[0, 1, 0, 1], [0, 0, 1, 0]],
        "soft": [[0, 0.5, 0, 0.25], [0, 0, 1, 0]],
    }
    assert target.tolist() == expected[rule]


def test_crops_hold_a_target_as_often_as_asked():
    _, mask = scene(256, 256)

    def share(target_crop: float, crops: int) -> int:
        rng = np.random.default_rng(0)
        drawn = (draw_window(mask, (256, 256), (32, 32), target_crop, rng) for _ in range(crops))
        return sum(mask[window].any() for window, _ in drawn)

    assert share(1.0, 50) == 50
    # A crop meets the 6 x 8 target in (31 + 6)(31 + 8) of 225^2 positions: 11 of 400 expected.
    assert 1 <= share(0.0, 400) <= 30


@pytest.mark.parametrize("scaled", [(45, 60), (90, 120), (135, 300)])
def test_a_window_shows_what_a_crop_of_the_scaled_image_would(scaled):
    places = np.mgrid[:90, :120].astype(np.float32)
    mask = scene()[1]
    for seed in range(20):
        window, size = draw_window(mask, scaled, (30, 40), 0.5, np.random.default_rng(seed))
        assert size == (30, 40)
        for axis, plane in enumerate(places):
            seen = resize_averaged(plane[window], size).mean(1 - axis)
            factor = scaled[axis] / mask.shape[axis]
            wanted = window[axis].start + (np.arange(size[axis]) + 0.5) / factor - 0.5
            # Half a pixel by rounding the window, half a pixel where its border is repeated.
            assert np.abs(seen - wanted).max() <= (1.0 if factor > 1 else 1e-4)


def test_a_window_reaches_every_place_and_no_further():
    mask = np.zeros((9, 12), np.uint8)
    mask[8, 0] = 1
    rng = np.random.default_rng(0)
    anywhere = {str(draw_window(mask, (9, 12), (6, 8), 0.0, rng)[0]) for _ in range(400)}
    assert len(anywhere) == 4 * 5
    corner = {str(draw_window(mask, (9, 12), (6, 8), 1.0, rng)[0]) for _ in range(40)}
    assert len(corner) == 1


def test_a_small_image_is_padded_below_and_at_the_right():
    image, mask = np.ones((1, 10, 20), np.float32), np.ones((10, 20), np.uint8)
    frames, target = augment(image, mask, CROP, settings(NATIVE), 0.25, np.random.default_rng(0))
    assert frames.shape == (1, 32, 64)
    assert frames[0, :10, :20].min() == 1
    assert (frames == 0.25).sum() == 32 * 64 - 200
    assert target.sum() == 200


def test_flips_are_exact():
    image = np.arange(48 * 48, dtype=np.float32).reshape(1, 48, 48) / 2304
    mask = np.triu(np.ones((48, 48), np.uint8))
    for change, moved in {
        "flip_horizontal": lambda x: x[..., ::-1],
        "flip_vertical": lambda x: x[..., ::-1, :],
        "transpose": lambda x: x.swapaxes(-1, -2),
    }.items():
        chosen = settings(NATIVE, **{change: 1.0})
        frames, target = augment(image, mask, SQUARE, chosen, 0.0, np.random.default_rng(0))
        assert np.array_equal(frames, moved(image)), change
        assert np.array_equal(target, moved(mask)), change


def test_blur_softens_and_leaves_the_mask():
    plain = run(settings(STRETCH), 0)
    blurred = [run(settings(STRETCH, blur=1.0), seed) for seed in range(10)]
    assert all(np.array_equal(plain[1], target) for _, target in blurred)
    assert all(frames.std() <= plain[0].std() + 1e-6 for frames, _ in blurred)
    assert min(frames.std() for frames, _ in blurred) < 0.95 * plain[0].std()


def test_noise_is_white_and_drawn_for_each_frame():
    frames = np.full((3, 256, 256), 0.5, np.float32)
    mask = np.zeros((256, 256), np.uint8)
    crop = CropParams(height=256, width=256)
    stds, noises = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noisy, _ = augment(frames, mask, crop, settings(NATIVE, noise_std=0.1), 0.0, rng)
        noise = noisy - 0.5
        stds += noise.std((1, 2)).tolist()
        noises.append((noise / noise.std((1, 2), keepdims=True)).ravel())
    assert 0.08 < max(stds) < 0.105
    assert min(stds) < 0.02, "the strength is drawn for each frame"
    # Correlations of n independent values have the standard deviation 1 / sqrt(n); 5 of them.
    one = noises[0].reshape(frames.shape)
    limit = 5 / 256
    assert abs(np.mean(one[0] * one[1])) < limit
    assert abs(np.mean(one[0, :, 1:] * one[0, :, :-1])) < limit
    assert abs(np.mean(one[0, 1:] * one[0, :-1])) < limit
    assert all(abs(np.mean(a * b)) < limit for a, b in pairwise(noises))
    # Four standard deviations of the fourth moment of all values, sqrt(96 / n).
    assert np.mean(np.concatenate(noises) ** 4) == pytest.approx(3.0, abs=4 * (96 / 3.9e6) ** 0.5)


def test_brightness_and_contrast_change_half_of_the_frames_each_by_itself():
    plain, _ = run(settings(STRETCH), 0, frames=6)
    for change in ("brightness", "contrast"):
        means = np.array(
            [
                run(settings(STRETCH, **{change: 0.1}), seed, frames=6)[0].mean((1, 2))
                for seed in range(40)
            ]
        )
        same = np.isclose(means, plain.mean((1, 2)), atol=1e-6)
        assert 0.35 < same.mean() < 0.65
        assert all(len(set(row)) > 1 for row in means[:5])
        assert np.abs(means - plain.mean((1, 2))).max() <= 0.1


def test_frames_of_a_clip_share_their_geometry():
    chosen = settings(WINDOW, flip_horizontal=0.5)
    for seed in range(10):
        frames, _ = run(chosen, seed, frames=3)
        assert np.array_equal(frames[0], frames[1])
        assert np.array_equal(frames[0], frames[2])


@pytest.mark.parametrize("side", [1, 7])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g["name"])
def test_tiny_images_and_empty_masks_work(side, geometry):
    image, mask = np.full((1, side, side), 0.5, np.float32), np.zeros((side, side), np.uint8)
    chosen = settings(geometry, blur=1.0, noise_std=0.02, brightness=1.0)
    frames, target = augment(image, mask, CROP, chosen, 0.0, np.random.default_rng(1))
    assert frames.shape == (1, 32, 64)
    assert not target.any()
    assert 0 <= frames.min() <= frames.max() <= 1
