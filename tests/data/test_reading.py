from pathlib import Path

import numpy as np
import pytest

from irstd.data.reading import open_source
from irstd.errors import DataError
from tests.sirst_layout import make_params, sirst_params, write_image, write_pair, write_sirst


def test_files_are_opened_with_their_split(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path)
    write_pair(folder, "extra", 1)
    reading = open_source(folder, sirst_params().data, seed=1)
    images = list(reading.images)
    assert reading.total == len(images) == 12
    assert reading.unlisted == 1
    assert [raw.id for raw in images[:3]] == ["s_9", "s_10", "s_11"]
    assert not reading.complete


def test_limit_takes_a_share_of_each_split(tmp_path: Path) -> None:
    reading = open_source(write_sirst(tmp_path), sirst_params(limit=4).data, seed=1)
    images = list(reading.images)
    assert reading.total == 4
    assert sorted(raw.split for raw in images) == ["test", "train", "train", "val"]
    assert reading.unlisted == 0


def test_duplicate_ids_are_faults(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path)
    with (folder / "splits" / "idx_427_val.txt").open("a", encoding="utf-8") as file:
        file.write("\ns_11")
    reading = open_source(folder, sirst_params(fault_policy="fail").data, seed=1)
    with pytest.raises(DataError, match=r"s_11: .*listed again for val; it is kept for test"):
        list(reading.images)


def test_missing_folder_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `irstd data add sirst PATH`"):
        open_source(tmp_path / "sirst", sirst_params().data, seed=1)


def test_generated_images_need_no_folder(tmp_path: Path) -> None:
    reading = open_source(tmp_path / "nowhere", make_params(limit=3).data, seed=1)
    assert reading.total == 3
    assert {raw.split for raw in reading.images} == {"train", "val", "test"}


def test_masks_of_many_values_are_cut_at_the_stated_one(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path)
    soft = np.zeros((24, 32), np.uint8)
    soft[3:5, 4:6] = [[100, 101], [200, 255]]
    write_image(folder / "masks" / "s_0_pixels0.png", soft)
    with pytest.raises(DataError, match=r"s_0: .*expected a binary mask"):
        list(open_source(folder, sirst_params(fault_policy="fail").data, seed=1).images)
    images = open_source(folder, sirst_params(mask_threshold=100).data, seed=1).images
    assert {raw.id: raw.mask.sum() for raw in images}["s_0"] == 3


def test_sixteen_bit_images_stay_exact(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path)
    deep = np.random.default_rng(0).integers(0, 65536, (24, 32)).astype(np.uint16)
    write_image(folder / "images" / "s_0.png", deep)
    images = {raw.id: raw for raw in open_source(folder, sirst_params().data, seed=1).images}
    assert images["s_0"].image.dtype == np.uint16
    np.testing.assert_array_equal(images["s_0"].image, deep)
