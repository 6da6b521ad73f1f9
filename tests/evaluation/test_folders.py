"""Plain folders of images and masks."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.errors import ConfigError, DataError
from irstd.evaluation.folders import Folders, read_folders


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((8, 9), np.uint8)
    image[2, 3] = value
    cv2.imwrite(str(path), image)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two images with masks named in two ways, and one without target."""
    for name in ("images/a.png", "images/deep/b.bmp", "sky/c.png"):
        picture(tmp_path / name, 90)
    picture(tmp_path / "masks/a_pixels0.png", 255)
    picture(tmp_path / "masks/deep/b.png", 1)
    (tmp_path / "masks/a.xml").write_text("<box/>")
    return Folders(tmp_path / "images", tmp_path / "masks", tmp_path / "sky")


def test_images_come_with_their_masks(folders: Folders) -> None:
    raws = list(read_folders(folders))
    assert [(raw.id, raw.split, int(raw.mask.sum())) for raw in raws] == [
        ("a", "test", 1),
        ("deep/b", "test", 1),
        ("c", "test", 0),
    ]
    assert all(raw.image[2, 3] == 90 for raw in raws)


def test_images_without_target_may_stand_alone(folders: Folders) -> None:
    (raw,) = read_folders(Folders(empty=folders.empty))
    assert (raw.id, raw.mask.shape, raw.mask.any()) == ("c", (8, 9), False)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("images/d.png", "images without one, to be given by --empty .*: d$"),
        ("masks/d.png", r"masks without an image in .*images: d$"),
        ("masks/a.png", "images with several: a$"),
        ("images/a.tif", "one file of each name, there twice: a$"),
        ("sky/a.png", "that are in .*images too: a$"),
    ],
)
def test_what_does_not_pair_is_named(folders: Folders, added: str, message: str) -> None:
    picture(folders.given[0].parent / added, 255)
    with pytest.raises(DataError, match=message):
        list(read_folders(folders))


def test_missing_and_empty_folders(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        list(read_folders(Folders(empty=tmp_path / "nowhere")))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"expected files .*\.png.*, found none"):
        list(read_folders(Folders(empty=tmp_path / "nothing")))


def test_images_and_masks_belong_together(tmp_path: Path) -> None:
    for wrong in (
        {},
        {"images": tmp_path},
        {"masks": tmp_path},
        {"masks": tmp_path, "empty": tmp_path},
    ):
        with pytest.raises(ConfigError, match="expected --images with --masks, --empty for"):
            Folders(**wrong)
    with pytest.raises(ConfigError, match=r"--split .*: expected --images"):
        Folders(empty=tmp_path, split=tmp_path)
    with pytest.raises(ConfigError, match=r"--split .*: expected --images"):
        Folders(split=tmp_path)


def test_subfolders_are_sequences(tmp_path: Path) -> None:
    for name in ("s1/f10", "s1/f9", "s2/f1", "alone"):
        picture(tmp_path / f"images/{name}.png", 90)
        picture(tmp_path / f"masks/{name}.png", 255)
    picture(tmp_path / "empty/s1/f8.png", 90)
    raws = read_folders(Folders(tmp_path / "images", tmp_path / "masks", tmp_path / "empty"))
    assert {raw.id: (raw.sequence, raw.frame) for raw in raws} == {
        "s1/f8": ("s1", 0),
        "s1/f9": ("s1", 1),
        "s1/f10": ("s1", 2),
        "s2/f1": ("s2", 0),
        "alone": (None, None),
    }


def test_a_list_chooses_images(folders: Folders, tmp_path: Path) -> None:
    picture(tmp_path / "images/train.png", 90)  # no mask: not listed, so none is needed
    split = tmp_path / "test.txt"
    split.write_bytes(b"deep/b\r\n\r\n")
    chosen = replace(folders, split=split)
    assert [raw.id for raw in read_folders(chosen)] == ["deep/b", "c"]
    assert chosen.files == [*folders.given, split]
    split.write_text("deep/b\nabsent\n")
    with pytest.raises(DataError, match=r"test\.txt: .* ids without an image in .*: absent$"):
        read_folders(chosen)
    for wrong in ("a.png", "./a"):
        split.write_text(f"deep/b\n{wrong}\n")
        message = rf"expected relative paths without suffix \(.*\), got ids .*: {wrong}$"
        with pytest.raises(DataError, match=message):
            read_folders(chosen)
    split.write_text("deep/b\na\ndeep/b\n")
    with pytest.raises(DataError, match=r"test\.txt: expected each id once, .*: deep/b$"):
        read_folders(chosen)
    split.write_text("\n")
    with pytest.raises(DataError, match="one id a line, the file is empty"):
        read_folders(chosen)
