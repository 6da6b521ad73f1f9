import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.config.synthesis import PastedTargets
from irstd.config.values import PositiveRange
from irstd.data.descriptors import noise_std
from irstd.data.field_test import known_images, pixel_checksum
from irstd.data.index import scr
from irstd.data.pixels import read_grey
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.data.synthesis_targets import (
    SKIRT_PX,
    RealTargets,
    Stamp,
    cut_out,
    paste,
    target_drawer,
    training_rows,
    without_targets,
)
from irstd.data.targets import point_spread
from irstd.errors import DataError

NOISE = 0.004


def _scene(seed: int, shape: tuple[int, int] = (80, 96)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.normal(size=(6, 6)), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (0.4 + 0.04 * soft + rng.normal(0, NOISE, shape)).astype(np.float32)


def _with_target(seed: int, level: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    scene = _scene(seed)
    profile = point_spread(scene.shape, 40.2, 50.7, 1.3)
    image = (scene + level * profile).astype(np.float32)
    return image, (profile > 0.25).astype(np.uint8)


def test_the_background_shows_no_trace_of_the_target() -> None:
    image, mask = _with_target(0)
    assert scr(image, mask)[0] > 7  # the scene alone reaches 1: it is not flat
    cleaned = without_targets(image, mask, np.random.default_rng(1))
    assert scr(cleaned, mask)[0] < 1.2
    far = np.hypot(*(np.indices(mask.shape) - np.array([40, 51])[:, None, None])) > 10
    assert np.array_equal(cleaned[far], image[far])
    hole = cleaned[37:44, 47:55]
    assert noise_std(hole.astype(np.float32)) == pytest.approx(NOISE, rel=0.5)  # 30 inner pixels


def test_an_image_without_targets_stays_as_it_is() -> None:
    scene = _scene(2)
    kept = without_targets(scene, np.zeros(scene.shape, np.uint8), np.random.default_rng(0))
    assert np.array_equal(kept, scene)


def test_a_target_is_cut_out_with_its_shape_and_skirt() -> None:
    image, mask = _with_target(3)
    stamp = cut_out(image, mask, np.random.default_rng(0))
    rows, cols = np.nonzero(mask)
    inner = np.s_[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    assert np.array_equal(
        stamp.target[SKIRT_PX:-SKIRT_PX, SKIRT_PX:-SKIRT_PX], mask[inner].astype(bool)
    )
    assert stamp.target.sum() == mask.sum()
    truth = point_spread(image.shape, 40.2, 50.7, 1.3)[
        rows.min() - SKIRT_PX : rows.max() + SKIRT_PX + 1,
        cols.min() - SKIRT_PX : cols.max() + SKIRT_PX + 1,
    ]
    assert stamp.profile[stamp.target].max() == 1.0
    assert np.abs(stamp.profile - truth).max() < 0.15  # noise is 0.013 of the target, twice


def test_a_neighbour_is_not_cut_out_with_a_target() -> None:
    image, mask = _with_target(4)
    mask[40:42, 56:58], image[40:42, 56:58] = 1, 0.9
    stamps = [cut_out(image, mask, np.random.default_rng(seed)) for seed in range(8)]
    assert {int(stamp.target.sum()) for stamp in stamps} == {4, int(mask.sum()) - 4}


def test_a_dark_target_is_none() -> None:
    image, mask = _with_target(5, level=-0.2)
    assert cut_out(image, mask, np.random.default_rng(0)) is None


@pytest.mark.parametrize("ratio", [2.0, 6.0])
def test_a_pasted_target_has_its_mask_and_scr(ratio: float) -> None:
    stamp = cut_out(*_with_target(6), np.random.default_rng(0))
    scene = _scene(7).astype(np.float64)
    added, target = paste((30.4, 61.0), scene, np.zeros(scene.shape, bool), stamp, ratio)
    height, width = stamp.target.shape
    top, left = round(30.4 - (height - 1) / 2), round(61.0 - (width - 1) / 2)
    assert np.array_equal(target[top : top + height, left : left + width], stamp.target)
    assert target.sum() == stamp.target.sum()
    assert scr(scene + added, target.astype(np.uint8)) == pytest.approx([ratio], rel=1e-5)


def test_places_that_do_not_suit() -> None:
    stamp = Stamp(np.ones((5, 5)), np.ones((5, 5), bool))
    scene, nothing = _scene(8).astype(np.float64), np.zeros((80, 96), bool)
    other = nothing.copy()
    other[30, 50] = True
    assert paste((40.0, 50.0), scene, nothing, stamp, 3.0) is not None
    assert paste((1.0, 50.0), scene, nothing, stamp, 3.0) is None
    assert paste((40.0, 94.5), scene, nothing, stamp, 3.0) is None
    assert paste((40.0, 50.0), scene, other, stamp, 3.0) is None
    assert paste((40.0, 50.0), scene, nothing, stamp, 1000.0) is None  # above full scale


def _raws(targets: bool = True) -> list[RawImage]:
    images = []
    for number in range(4):
        image, mask = _with_target(20 + number)
        pixels = np.round(image.clip(0, 1) * 65535).astype(np.uint16)
        images.append(RawImage(f"i{number}", "train", pixels, mask * np.uint8(targets)))
    return images


def _data(folder, source: str = "test", targets: bool = True) -> PreparedData:
    write_prepared(folder, iter(_raws(targets)), source)
    return PreparedData(folder)


def test_drawn_targets_are_turned_and_mirrored(tmp_path) -> None:
    real = RealTargets(_data(tmp_path), np.arange(4))
    stamps = [real.draw(np.random.default_rng(seed)) for seed in range(12)]
    assert len({stamp.profile.tobytes() for stamp in stamps}) > 6
    again = real.draw(np.random.default_rng(3))
    assert np.array_equal(again.profile, stamps[3].profile)


def test_only_training_images_with_masks_are_used(tmp_path) -> None:
    images = _raws()
    images[1] = replace(images[1], split="val")
    images[2] = replace(images[2], mask_origin="points", centres=((40.0, 51.0),))
    write_prepared(tmp_path, iter(images), "test")
    assert training_rows(PreparedData(tmp_path)).tolist() == [0, 3]


def test_images_of_the_field_test_are_left_out_whatever_their_source(
    tmp_path, shared: Path, caplog
) -> None:
    """A copy of SIRST-V2 or of a folder holds them under any name and with any mask."""
    folder = shared / "data" / "sirst_v2_field"
    tested = [
        RawImage(f"x{number}", "train", pixels := read_grey(file), np.zeros_like(pixels))
        for number, file in enumerate(sorted(folder.glob("*/*_1.png"))[:3])
    ]
    write_prepared(tmp_path, iter([*_raws(), *tested]), "sirst_v2")
    with caplog.at_level(logging.WARNING):
        rows = training_rows(PreparedData(tmp_path))
    assert rows.tolist() == [0, 1, 2, 3]
    assert "3 of 7 training images are left out" in caplog.text


def test_the_field_test_is_known_by_every_image(shared: Path) -> None:
    folder = shared / "data" / "sirst_v2_field"
    images = [*(folder / "images").glob("*.png"), *(folder / "backgrounds").glob("*.png")]
    found = {pixel_checksum(read_grey(file)) for file in images}
    assert len(found) == 97
    assert set().union(*known_images().values()) == found


def test_the_field_test_and_images_without_targets_are_refused(tmp_path) -> None:
    field = _data(tmp_path / "field", source="sirst_v2_field")
    with pytest.raises(DataError, match=r"images of sirst_v2_field must not be used .* field test"):
        training_rows(field)
    with pytest.raises(DataError, match="expected targets to paste, but 4 images hold none"):
        RealTargets(_data(tmp_path / "empty", targets=False), np.arange(4))
    with pytest.raises(DataError, match=r"name their folder in data\.synthesis\.material"):
        target_drawer(PastedTargets(name="pasted"), PositiveRange(low=1.0, high=2.0), None)
