import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from irstd.data.sources import RawImage
from irstd.data.store import (
    ALIGNMENT,
    MASKS_FILE,
    PIXELS_FILE,
    SPLITS,
    PreparedData,
    write_prepared,
)
from irstd.errors import DataError


def make_images(count: int = 7) -> list[RawImage]:
    random = np.random.default_rng(5)
    images = []
    for number in range(count):
        shape = tuple(random.integers(5, 40, 2))
        dtype = (np.uint8, np.uint16)[number % 2]
        image = random.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
        mask = (random.random(shape) > 0.95).astype(np.uint8)
        images.append(RawImage(f"i{number}", SPLITS[number % 3], image, mask))
    return images


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_images_come_back_unchanged(tmp_path: Path) -> None:
    images = make_images()
    index = write_prepared(tmp_path / "p", iter(images), "test")
    data = PreparedData(tmp_path / "p")
    assert len(data) == len(index) == len(images)
    for row, raw in enumerate(images):
        assert data.index["id"].iloc[row] == raw.id
        assert data.image(row).dtype == raw.image.dtype
        np.testing.assert_array_equal(data.image(row), raw.image)
        np.testing.assert_array_equal(data.mask(row), raw.mask)


def test_views_are_read_only_and_aligned(tmp_path: Path) -> None:
    write_prepared(tmp_path, make_images(), "test")
    data = PreparedData(tmp_path)
    assert (data.index["image_offset"] % ALIGNMENT == 0).all()
    assert not data.image(1).flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        data.image(1)[0, 0] = 1


def test_rows_of_each_split(tmp_path: Path) -> None:
    write_prepared(tmp_path, make_images(7), "test")
    data = PreparedData(tmp_path)
    assert data.rows("train").tolist() == [0, 3, 6]
    assert data.rows("test").tolist() == [2, 5]
    with pytest.raises(DataError, match="unknown split 'dev'; choose one of: train, val, test"):
        data.rows("dev")


def test_equal_images_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b", "b"):
        write_prepared(tmp_path / name, make_images(), "test")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_checksum_is_the_data_version(tmp_path: Path) -> None:
    images = make_images()
    changed = images[0].image.copy()
    changed[0, 0] ^= 1
    moved = "val" if images[0].split != "val" else "test"
    variants = {
        "same": images,
        "reordered": images[::-1],
        "pixel": [replace(images[0], image=changed), *images[1:]],
        "split": [replace(images[0], split=moved), *images[1:]],
    }
    sums = {}
    for name, variant in variants.items():
        write_prepared(tmp_path / name, variant, "test")
        sums[name] = PreparedData(tmp_path / name).checksum
    assert sums["same"] == sums["reordered"]
    assert len(set(sums.values())) == 3


def test_pickled_as_its_folder(tmp_path: Path) -> None:
    write_prepared(tmp_path, make_images(), "test")
    data = PreparedData(tmp_path)
    data.image(0)
    content = pickle.dumps(data)
    assert len(content) < 500
    np.testing.assert_array_equal(pickle.loads(content).image(3), data.image(3))


def test_failure_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    write_prepared(tmp_path, make_images(3), "test")
    before = digests(tmp_path)

    def broken() -> Iterator[RawImage]:
        yield make_images(1)[0]
        raise DataError("the disk is gone")

    with pytest.raises(DataError, match="the disk is gone"):
        write_prepared(tmp_path, broken(), "test")
    assert digests(tmp_path) == before
    with pytest.raises(DataError, match="expected at least one image"):
        write_prepared(tmp_path, [], "test")
    assert digests(tmp_path) == before


def test_bad_images_are_refused(tmp_path: Path) -> None:
    raw = make_images(1)[0]
    cases = {
        "came twice": [raw, raw],
        "unknown split 'dev'": [replace(raw, split="dev")],
        "expected .* uint8 or uint16": [replace(raw, image=raw.image.astype(np.float32))],
        "expected a uint8 mask": [replace(raw, mask=raw.mask[1:])],
        "up to 255": [replace(raw, mask=np.full_like(raw.mask, 255))],
    }
    for message, images in cases.items():
        with pytest.raises(DataError, match=message):
            write_prepared(tmp_path, images, "test")


def test_foreign_or_missing_pixels_are_reported(tmp_path: Path) -> None:
    write_prepared(tmp_path, make_images(), "test")
    np.save(tmp_path / PIXELS_FILE, np.zeros(10, np.uint8))
    (tmp_path / MASKS_FILE).unlink()
    data = PreparedData(tmp_path)
    with pytest.raises(DataError, match="do not belong together; run `irstd prepare` again"):
        data.image(0)
    with pytest.raises(DataError, match=r"masks\.npy: cannot be mapped.*run `irstd prepare` again"):
        data.mask(0)
