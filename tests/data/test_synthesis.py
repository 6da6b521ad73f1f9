from itertools import groupby

import cv2
import numpy as np
import pytest

from irstd.config.synthesis import NO_MATERIAL, CameraParams, SynthesisParams
from irstd.data.index import label_targets, scr
from irstd.data.motion import SPEED_PX
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.data.synthesis import camera_path, look, synthesise
from irstd.errors import DataError

SETTINGS = {
    "images": 12,
    "frames": 1,
    "height": 64,
    "width": 96,
    "train": 0.6,
    "val": 0.2,
    "material": NO_MATERIAL,
    "backgrounds": {"name": "generated", "clutter_per_image": {"low": 0, "high": 2}},
    "targets": {"name": "simulated", "psf_sigma_px": {"low": 0.8, "high": 1.4}},
    "targets_per_image": {"low": 1, "high": 2},
    "empty_share": 0.0,
    "scr": {"low": 3.0, "high": 6.0},
    "noise_std": 0.005,
    "camera": {"speed_px": 0.0, "jitter_px": 0.0},
}
PREPARED = {"name": "prepared"}
PASTED = {"name": "pasted"}


def _params(**changes) -> SynthesisParams:
    return SynthesisParams.model_validate(SETTINGS | changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> PreparedData:
    """Ten training images of one level each, told apart by it, and one bright test image."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(11):
        split = "train" if number < 10 else "test"
        level = 0.1 + 0.06 * number if split == "train" else 0.95
        image = level + rng.normal(0, 0.003, (70, 60))
        mask = np.zeros(image.shape, np.uint8)
        mask[30:33, 20:24] = 1
        image[30:33, 20:24] += 0.03
        pixels = np.round(image.clip(0, 1) * 65535).astype(np.uint16)
        images.append(RawImage(f"i{number}", split, pixels, mask, background="plane"))
    folder = tmp_path_factory.mktemp("prepared")
    write_prepared(folder, iter(images), "test")
    return PreparedData(folder)


def _check_targets(images: list[RawImage], low: int, high: int) -> None:
    for raw in images:
        assert raw.image.shape == raw.mask.shape == (64, 96)
        assert low <= label_targets(raw.mask)[1] <= high
        found = scr(raw.image, raw.mask)
        assert found.min() > 0.9 * 3.0
        assert found.max() < 1.1 * 6.0


def test_single_images_have_their_targets_and_parts() -> None:
    images = list(synthesise(_params(), 5, None))
    assert [raw.id for raw in images[:2]] == ["syn_00000", "syn_00001"]
    assert len(images) == 12
    assert {raw.split for raw in images} == {"train", "val", "test"}
    assert all(raw.sequence is None for raw in images)
    _check_targets(images, 1, 2)


@pytest.mark.parametrize("targets", [SETTINGS["targets"], PASTED])
def test_prepared_backgrounds_are_those_of_the_own_part_without_targets(
    data: PreparedData, targets: dict
) -> None:
    params = _params(backgrounds=PREPARED, targets=targets, material="data/processed/x", images=20)
    images = list(synthesise(params, 5, data))
    _check_targets(images, 1, 2)
    levels: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for raw in images:
        level = np.median(raw.image) / 65535
        levels[raw.split].add(round((level - 0.1) / 0.06))
        assert raw.background == "plane"
        background = raw.image[cv2.dilate(raw.mask, np.ones((9, 9))) == 0] / 65535
        assert np.abs(background - level).max() < 0.06  # noise and a fixed pattern, no old target
    assert all(levels.values())
    assert not levels["train"] & levels["val"]
    assert not levels["test"] & (levels["train"] | levels["val"])
    assert max(set().union(*levels.values())) < 10  # never the test image


def test_pasted_targets_keep_their_masks(data: PreparedData) -> None:
    images = list(synthesise(_params(targets=PASTED, material="data/processed/x"), 5, data))
    for raw in images:
        labels, count = label_targets(raw.mask)
        for number in range(1, count + 1):
            rows, cols = np.nonzero(labels == number)
            sides = {int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1}
            assert (len(rows), sides) == (12, {3, 4})


def _sequences(params: SynthesisParams, data: PreparedData | None) -> list[list[RawImage]]:
    images = synthesise(params, 5, data)
    return [list(frames) for _, frames in groupby(images, key=lambda raw: raw.sequence)]


@pytest.mark.parametrize("backgrounds", [SETTINGS["backgrounds"], PREPARED])
def test_sequences_with_a_moving_camera(data: PreparedData, backgrounds: dict) -> None:
    params = _params(
        images=24,
        frames=6,
        backgrounds=backgrounds,
        material="data/processed/x",
        camera={"speed_px": 2.0, "jitter_px": 0.5},
    )
    sequences = _sequences(params, data)
    assert len(sequences) == 4
    for frames in sequences:
        assert [raw.frame for raw in frames] == list(range(6))
        assert [raw.id for raw in frames] == [f"{frames[0].sequence}_{n:02d}" for n in range(6)]
        assert len({raw.split for raw in frames}) == 1
        _check_targets(frames, 1, 2)


def test_the_scene_moves_as_the_camera_does_and_the_target_by_itself() -> None:
    quiet = {"name": "generated", "clutter_per_image": {"low": 0, "high": 0}}
    params = _params(
        images=30,
        frames=6,
        backgrounds=quiet,
        noise_std=0.0005,
        targets_per_image={"low": 1, "high": 1},
        camera={"speed_px": 3.0, "jitter_px": 0.0},
    )
    moved = 0
    for frames in _sequences(params, None):
        shifts, centres = [], []
        first = frames[0]
        for raw in frames:
            pair = (first.image.astype(np.float64), raw.image.astype(np.float64))
            (x, y), _ = cv2.phaseCorrelate(*pair, cv2.createHanningWindow((96, 64), cv2.CV_64F))
            shifts.append((y, x))
            centres.append(np.argwhere(raw.mask).mean(axis=0))
        own = np.diff(np.array(centres) - np.array(shifts), axis=0).mean(axis=0)
        if np.hypot(*shifts[-1]) > 3.0:  # five steps: the camera moved, not the target alone
            moved += 1
            # A target moves over the scene as without camera; masks are whole pixels.
            assert SPEED_PX[0] - 0.3 < np.hypot(*own) < SPEED_PX[1] + 0.3
    assert moved >= 2


def test_the_camera_s_path_is_centred_and_as_fast_as_stated() -> None:
    rng = np.random.default_rng(0)
    paths = [camera_path(rng, CameraParams(speed_px=2.0, jitter_px=0.0), 7) for _ in range(50)]
    steps = np.array([np.linalg.norm(np.diff(path, axis=0), axis=1) for path in paths])
    assert np.abs(np.mean(paths, axis=1)).max() < 1e-12
    assert np.ptp(steps, axis=1).max() < 1e-12
    assert 1.5 < steps.max() <= 2.0
    shaken = camera_path(rng, CameraParams(speed_px=0.0, jitter_px=0.7), 2000)
    assert shaken.std(axis=0) == pytest.approx([0.7, 0.7], rel=0.06)
    assert not camera_path(rng, CameraParams(speed_px=5.0, jitter_px=1.0), 1).any()


def test_a_look_at_a_plane_is_exact_between_pixels() -> None:
    rows, cols = np.mgrid[0:40, 0:50].astype(np.float64)
    seen = look(2.0 * rows - cols, (3.25, 7.5), (20, 30))
    assert np.abs(seen - (2.0 * (rows[:20, :30] + 3.25) - (cols[:20, :30] + 7.5))).max() < 1e-9


def test_equal_seeds_give_equal_images_and_fewer_are_the_first(data: PreparedData) -> None:
    params = _params(backgrounds=PREPARED, targets=PASTED, material="data/processed/x")
    whole, again, few = (list(synthesise(params, 5, data, limit)) for limit in (None, None, 4))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(whole, again, strict=True))
    other = next(synthesise(params, 6, data))
    assert not np.array_equal(whole[0].image, other.image)
    same_part = [(a, b) for a, b in zip(whole, few, strict=False) if a.split == b.split]
    assert len(few) == 4
    assert same_part
    assert all(np.array_equal(a.image, b.image) for a, b in same_part)


def test_a_scene_too_large_for_memory_is_refused_before_anything_is_made() -> None:
    """64 + 2 * 99.5 * 50 rounded up, and the same beside 96."""
    params = _params(images=600, frames=200, camera={"speed_px": 100.0, "jitter_px": 0.0})
    message = r"need a scene of 19964 x 19996 px, expected at most 8192 .* camera\.speed_px"
    with pytest.raises(DataError, match=message):
        next(synthesise(params, 0, None))


def test_what_cannot_be_made_is_refused(data: PreparedData, tmp_path) -> None:
    with pytest.raises(DataError, match=r"2 sequences of 5 .* data\.synthesis\.images .* 15"):
        next(synthesise(_params(frames=5), 0, None))
    with pytest.raises(DataError, match="prepared backgrounds need prepared images"):
        next(synthesise(_params(backgrounds=PREPARED), 0, None))
    with pytest.raises(DataError, match="pasted targets need prepared images"):
        next(synthesise(_params(targets=PASTED), 0, None))
    small = _params(scr={"low": 500.0, "high": 600.0}, height=32, width=32)
    with pytest.raises(DataError, match=r"32 x 32 px .* no place with SCR 500 to 600; lower"):
        next(synthesise(small, 0, None))
    field = [RawImage(f"i{n}", "train", data.image(n), data.mask(n)) for n in range(4)]
    write_prepared(tmp_path, iter(field), "sirst_v2_field")
    with pytest.raises(DataError, match="sirst_v2_field must not be used for training"):
        next(
            synthesise(
                _params(backgrounds=PREPARED, material="data/processed/x"),
                0,
                PreparedData(tmp_path),
            )
        )
