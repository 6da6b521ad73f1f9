import pickle

import numpy as np
import pytest

from irstd.config import AugmentationParams, CropParams, FitParams, RecipeParams
from irstd.config.synthesis import AddedTargetsParams
from irstd.data.dataset import Crops
from irstd.data.index import label_targets, scr
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.data.synthesis_augment import REACH_PX, TargetAdder
from irstd.errors import DataError

SIMULATED = {"name": "simulated", "psf_sigma_px": {"low": 0.8, "high": 1.3}}
PASTED = {"name": "pasted"}


def _params(targets: dict, share: float = 1.0, each: int = 2) -> AddedTargetsParams:
    count, ratio = {"low": each, "high": each}, {"low": 4.0, "high": 6.0}
    return AddedTargetsParams.model_validate(
        {"share": share, "count": count, "scr": ratio, "targets": targets}
    )


def _images() -> list[RawImage]:
    rng = np.random.default_rng(0)
    images = []
    for number in range(4):
        image = 0.3 + rng.normal(0, 0.004, (120, 150))
        mask = np.zeros(image.shape, np.uint8)
        mask[50:53, 60:64] = 1
        image[mask == 1] += 0.1
        pixels = np.round(image * 65535).astype(np.uint16)
        images.append(RawImage(f"i{number}", "train", pixels, mask, "s", number))
    return images


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> PreparedData:
    folder = tmp_path_factory.mktemp("prepared")
    write_prepared(folder, iter(_images()), "test")
    return PreparedData(folder)


def _first(data: PreparedData) -> tuple[np.ndarray, np.ndarray]:
    return (data.image(0) / np.float32(65535))[None].astype(np.float32), data.mask(0)


@pytest.mark.parametrize("targets", [SIMULATED, PASTED])
def test_targets_are_added_with_mask_and_scr(data: PreparedData, targets: dict) -> None:
    frames, mask = _first(data)
    before = frames.copy()
    found, target = TargetAdder(_params(targets), data)(frames, mask, 0, np.random.default_rng(1))
    assert np.array_equal(frames, before)
    assert found.dtype == np.float32
    assert label_targets(target)[1] == 3
    assert target[mask == 1].all()
    new = np.setdiff1d(np.round(scr(found[0], target), 3), np.round(scr(frames[0], mask), 3))
    assert new.min() > 0.9 * 4.0
    changed = np.abs(found[0] - frames[0]) > 0.01
    assert 5 < changed.sum() < 150


def test_the_share_is_that_of_the_images_and_the_lot_is_seeded(data: PreparedData) -> None:
    frames, mask = _first(data)
    adder = TargetAdder(_params(SIMULATED, share=0.3), data)
    results = [adder(frames, mask, 0, np.random.default_rng(seed)) for seed in range(100)]
    changed = [not np.array_equal(found, frames) for found, _ in results]
    assert 18 <= sum(changed) <= 43  # binomial, 100 at 0.3: within 2.7 standard deviations
    again = adder(frames, mask, 0, np.random.default_rng(7))
    assert np.array_equal(again[0], results[7][0])


def test_targets_of_a_clip_move_and_the_mask_is_of_its_frame(data: PreparedData) -> None:
    image, mask = _first(data)
    frames = np.repeat(image, 6, axis=0)
    adder = TargetAdder(_params(SIMULATED, each=1), data)
    found, target = adder(frames, mask, 5, np.random.default_rng(2))
    gain = found - frames
    peaks = [np.unravel_index(plane.argmax(), plane.shape) for plane in gain]
    assert target[peaks[5]] == 1
    assert len(set(peaks)) > 1
    assert np.linalg.norm(np.subtract(peaks[0], peaks[5])) < 1.5 * 5 + 2


def test_a_target_changes_nothing_beyond_its_window(data: PreparedData) -> None:
    frames = np.full((1, 300, 300), 0.3, np.float32)
    frames += np.random.default_rng(3).normal(0, 0.004, frames.shape).astype(np.float32)
    adder = TargetAdder(_params(SIMULATED), data)
    found, target = adder(frames, np.zeros((300, 300), np.uint8), 0, np.random.default_rng(4))
    rows, cols = np.nonzero(found[0] != frames[0])
    near = np.argwhere(target)
    far = np.abs(np.stack([rows, cols], 1)[:, None] - near[None]).max(-1).min(-1)
    assert far.max() <= REACH_PX


def test_a_crowded_image_keeps_what_it_has(data: PreparedData) -> None:
    frames = np.full((1, 40, 40), 0.3, np.float32)
    mask = np.zeros((40, 40), np.uint8)
    mask[::6, ::6] = 1
    found, target = TargetAdder(_params(SIMULATED), data)(frames, mask, 0, np.random.default_rng(0))
    assert np.array_equal(found, frames)
    assert np.array_equal(target, mask)


def test_pasted_targets_come_from_training_images_that_may_be_used(tmp_path) -> None:
    write_prepared(tmp_path, iter(_images()), "sirst_v2_field")
    with pytest.raises(DataError, match="sirst_v2_field must not be used for training"):
        TargetAdder(_params(PASTED), PreparedData(tmp_path))


def test_workers_get_the_same_adder(data: PreparedData) -> None:
    frames, mask = _first(data)
    adder = TargetAdder(_params(PASTED), data)
    copied = pickle.loads(pickle.dumps(adder))
    first, second = (one(frames, mask, 0, np.random.default_rng(5)) for one in (adder, copied))
    assert np.array_equal(first[0], second[0])


def _recipe() -> RecipeParams:
    """Crops that hold whole images, so that all targets are in them."""
    geometry = {"name": "native", "target_crop": 0.0, "pad": "black"}
    off = ("flip_horizontal", "flip_vertical", "transpose", "blur", "brightness", "contrast")
    changes = dict.fromkeys((*off, "noise_std"), 0.0)
    augmentation = AugmentationParams.model_validate(
        {"geometry": geometry, "mask": "half"} | changes
    )
    crop = CropParams(height=160, width=160)
    return RecipeParams.model_construct(crop=crop, augmentation=augmentation)


@pytest.mark.parametrize("clip", [(1, 0), (3, 1)])
def test_training_crops_hold_the_added_targets(data: PreparedData, clip: tuple[int, int]) -> None:
    fit = FitParams(method="native", height=64, width=64)
    adder = TargetAdder(_params(PASTED), data)
    plain, added = (Crops(data, _recipe(), fit, 3, *clip, adder=one) for one in (None, adder))
    for epoch in range(3):
        image, mask = added[epoch, 0]
        assert image.shape == plain[epoch, 0][0].shape
        assert label_targets(plain[epoch, 0][1][0].astype(np.uint8))[1] == 1
        assert label_targets(mask[0].astype(np.uint8))[1] == 3
        assert np.array_equal(added[epoch, 0][0], image)
    assert not np.array_equal(added[0, 0][1], added[1, 0][1])
