from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from irstd.data.faults import FaultLog, Policy, read_images, read_quarantine, resize_mask
from irstd.data.layouts import open_contents
from irstd.data.listing import resolve
from irstd.data.sources import Fault, RawImage
from irstd.errors import DataError
from tests.sirst_layout import SHAPE, write_image, write_pair


def read(folder: Path, policy: Policy, *names: str) -> tuple[list[RawImage], FaultLog]:
    log = FaultLog(policy)
    (folder / "train.txt").write_text("\n".join(names), encoding="utf-8")
    contents = open_contents(folder)
    listing = resolve(contents, {"train": ("train.txt",)})
    for fault in listing.missing:
        log.add(fault)
    return list(read_images(contents, listing.items, log)), log


def scaled_mask(folder: Path, name: str, factor: float = 2.0) -> None:
    """Replace a mask by one of another scale that holds one large target."""
    mask = np.zeros((round(SHAPE[0] * factor), round(SHAPE[1] * factor)), np.uint8)
    mask[8:14, 10:18] = 255
    write_image(folder / "masks" / f"{name}_pixels0.png", mask)


def test_good_images_are_read(tmp_path: Path) -> None:
    image, mask = write_pair(tmp_path, "a", 1)
    (raw,), log = read(tmp_path, "fail", "a")
    np.testing.assert_array_equal(raw.image, image)
    np.testing.assert_array_equal(raw.mask, mask)
    assert (raw.id, raw.split, raw.repaired, log.entries) == ("a", "train", "", [])


def break_image(folder: Path) -> None:
    (folder / "images" / "a.png").write_bytes(b"broken")


def break_mask(folder: Path) -> None:
    write_image(folder / "masks" / "a_pixels0.png", np.full(SHAPE, 7, np.uint8))


def empty_mask(folder: Path) -> None:
    (folder / "masks" / "a_pixels0.png").write_bytes(b"")


def remove_image(folder: Path) -> None:
    (folder / "images" / "a.png").unlink()


def remove_mask(folder: Path) -> None:
    (folder / "masks" / "a_pixels0.png").unlink()


def remove_both(folder: Path) -> None:
    remove_image(folder)
    remove_mask(folder)


def enlarge_mask(folder: Path) -> None:
    scaled_mask(folder, "a")


@pytest.mark.parametrize(
    ("damage", "file", "reason"),
    [
        (break_image, "images/a.png", "damaged or of another kind"),
        (break_mask, "masks/a_pixels0.png", "expected a binary mask"),
        (empty_mask, "masks/a_pixels0.png", "the file is empty"),
        (remove_image, "images/a.png", "the image is missing"),
        (remove_mask, "masks/a_pixels0.png", "the mask is missing"),
        (remove_both, "train.txt", "listed for train, but it has no image and no mask"),
        (enlarge_mask, "masks/a_pixels0.png", "expected the image's size 24 x 32, got 48 x 64"),
    ],
)
def test_each_fault_is_listed_with_its_file(
    tmp_path: Path, damage: object, file: str, reason: str
) -> None:
    for name in ("a", "b"):
        write_pair(tmp_path, name, 1)
    assert callable(damage)
    damage(tmp_path)
    images, log = read(tmp_path, "quarantine", "a", "b")
    assert [raw.id for raw in images] == ["b"]
    ((fault, action),) = log.entries
    assert (fault.id, fault.file, action) == ("a", file, "left out")
    assert reason in fault.reason
    assert str(tmp_path) not in fault.reason


def test_policy_fail_reads_all_and_names_all(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_pair(tmp_path, name, 1)
    break_image(tmp_path)
    (tmp_path / "masks" / "c_pixels0.png").unlink()
    with pytest.raises(DataError, match="2 faults") as caught:
        read(tmp_path, "fail", "a", "b", "c")
    for part in ("a: images/a.png", "c: masks/c_pixels0.png", "set data.fault_policy to"):
        assert part in str(caught.value)


def test_both_files_of_an_image_are_looked_at(tmp_path: Path) -> None:
    write_pair(tmp_path, "a", 1)
    break_image(tmp_path)
    break_mask(tmp_path)
    _, log = read(tmp_path, "repair", "a")
    assert [fault.file for fault, _ in log.entries] == ["images/a.png", "masks/a_pixels0.png"]
    assert log.count("left out") == 1


def test_repair_resizes_the_mask_and_marks_the_row(tmp_path: Path) -> None:
    write_pair(tmp_path, "a", 1)
    scaled_mask(tmp_path, "a")
    (raw,), log = read(tmp_path, "repair", "a")
    expected = np.zeros(SHAPE, np.uint8)
    expected[4:7, 5:9] = 1
    np.testing.assert_array_equal(raw.mask, expected)
    assert raw.repaired == "mask resized from 48 x 64 by nearest neighbour"
    assert log.count("repaired") == 1
    assert log.count("left out") == 0


def test_what_cannot_be_repaired_is_left_out(tmp_path: Path) -> None:
    write_pair(tmp_path, "a", 1)
    write_image(tmp_path / "masks" / "a_pixels0.png", np.zeros((48, 32), np.uint8))
    images, log = read(tmp_path, "repair", "a")
    assert images == []
    assert log.entries[0][1] == "left out"
    assert "not repairable: the scales 2.000 and 1.000 differ" in log.entries[0][0].reason


def test_resize_takes_the_pixel_that_holds_the_centre() -> None:
    mask = np.zeros((6, 9), np.uint8)
    mask[1, 4] = 1  # centre of the upper middle block of 3 x 3
    np.testing.assert_array_equal(resize_mask(mask, 2, 3), [[0, 1, 0], [0, 0, 0]])


def test_resize_refuses_to_lose_a_target() -> None:
    mask = np.zeros((6, 9), np.uint8)
    mask[0, 0] = 1
    with pytest.raises(DataError, match="1 targets would become 0"):
        resize_mask(mask, 2, 3)


def test_the_list_says_what_the_table_says(tmp_path: Path) -> None:
    log = FaultLog("fail")
    path = tmp_path / "reports" / "quarantine.csv"
    log.write_list(path)
    assert path.read_text(encoding="utf-8") == "id,file,reason,action\n"
    log.add(Fault("ä", "images/ä.png", "sizes differ, 4 x 5"))
    log.write_list(path)
    log.write(tmp_path)
    assert pd.read_csv(path).equals(read_quarantine(tmp_path))


def test_quarantine_table_is_read_as_written(tmp_path: Path) -> None:
    log = FaultLog("repair")
    log.write(tmp_path)
    assert list(read_quarantine(tmp_path).columns) == ["id", "file", "reason", "action"]
    assert len(read_quarantine(tmp_path)) == 0
    log.add(Fault("a", "images/a.png", "gone"))
    log.write(tmp_path)
    assert read_quarantine(tmp_path).iloc[0].tolist() == ["a", "images/a.png", "gone", "left out"]
    with pytest.raises(DataError, match="run `irstd prepare`"):
        read_quarantine(tmp_path / "nowhere")
