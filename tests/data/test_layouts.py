from pathlib import Path

import pytest

from irstd.data.layouts import LAYOUTS, open_contents
from irstd.errors import DataError
from tests.folders import write_grey, write_pairs, write_target, write_text

PAIRS = {
    "L2": ("mixed/Misc_1.png", "annotations/masks/Misc_1_pixels0.png", "Misc_1", None),
    "L10": ("IRSTD1k_Img/XDU0.png", "IRSTD1k_Label/XDU0.png", "XDU0", None),
    "L9": ("training/000000_1.png", "training/000000_2.png", "000000", "train"),
    "L8": ("test/a.bmp", "test/gt/a_gt.bmp", "a", "test"),
    "V3": ("val/s1/img/000001.png", "val/s1/mask/000001.png", "s1_000001", "val"),
    "L7": ("trainval/images/a.png", "trainval/masks/a.png", "a", "train"),
    "L4": ("image/a.png", "mask/a.png", "a", None),
    "L12, V2": ("images/41/1(2).bmp", "masks/41/1(2).png", "41_1(2)", None),
    "L1, L3, L5, L6": ("images/Misc 1.png", "masks/Misc 1_pixels0.png", "Misc 1", None),
}


@pytest.mark.parametrize("code", PAIRS)
def test_layouts_of_masks_are_detected(tmp_path: Path, code: str) -> None:
    image, mask, name, part = PAIRS[code]
    write_pairs(tmp_path, (image, mask))
    write_text(tmp_path / "readme.md", "as published")
    contents = open_contents(tmp_path)
    (entry,) = contents.entries.values()
    assert (contents.layout, entry.id, entry.part) == (code, name, part)
    assert (entry.image, entry.mask) == (image, mask)
    assert contents.found.faults == contents.found.orphans == ()


def test_every_layout_is_tested() -> None:
    elsewhere = {"field", "V1", "V4", "L11", "YOLO", "points", "video"}
    assert {layout.code for layout in LAYOUTS} == set(PAIRS) | elsewhere


def test_boxes_beside_masks_do_not_matter(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("images/train/00000001.png", "masks/train/00000001.png"))
    write_pairs(tmp_path, ("images/test/00000002.png", "masks/test/00000002.png"))
    write_text(tmp_path / "boxes" / "train" / "00000001.txt", "[10, 3, 4, 4]")
    contents = open_contents(tmp_path)
    assert contents.layout == "L11"
    assert {entry.id: entry.part for entry in contents.entries.values()} == {
        "00000001": "train",
        "00000002": "test",
    }


def test_images_without_target_need_no_mask_where_the_folder_says_so(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("images/a.png", "masks/a_pixels0.png"))
    write_grey(tmp_path / "backgrounds" / "b.png")
    contents = open_contents(tmp_path)
    assert contents.layout == "field"
    assert contents.entries["b"].mask is None
    write_target(tmp_path / "masks" / "b_pixels0.png")
    (fault,) = open_contents(tmp_path).found.faults
    assert (fault.id, fault.file) == ("b", "masks/b_pixels0.png")


def test_frames_are_ordered_by_number(tmp_path: Path) -> None:
    names = ("1(10)", "1(2)", "1(1)")
    write_pairs(tmp_path, *((f"images/41/{name}.bmp", f"masks/41/{name}.png") for name in names))
    entries = open_contents(tmp_path).entries
    assert [entries[f"41_{name}"].frame for name in names] == [2, 1, 0]
    assert {entry.sequence for entry in entries.values()} == {"41"}


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ("images/b.png", ("b", "masks/b_pixels0.png", "the mask is missing")),
        ("masks/b_pixels0.png", ("b", "masks/b_pixels0.png", "a mask without image")),
        ("masks/a.png", ("a", "masks/a.png", "expected one mask for images/a.png, got: ")),
        ("images/a.bmp", ("a", "images/a.png", "several images have this id: images/a.bmp, ")),
    ],
)
def test_files_that_do_not_pair_are_faults(
    tmp_path: Path, extra: str, fault: tuple[str, str, str]
) -> None:
    write_pairs(tmp_path, ("images/a.png", "masks/a_pixels0.png"))
    write_target(tmp_path / extra)
    found = open_contents(tmp_path).found
    (only,) = (*found.faults, *found.orphans)
    assert (only.id, only.file) == fault[:2]
    assert only.reason.startswith(fault[2])
    assert found.n_images == 1 + (extra == "images/b.png")


def test_a_folder_that_fits_none_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    write_text(tmp_path / "pictures" / "a.png", "")
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError) as caught:
        open_contents(tmp_path)
    message = str(caught.value)
    for layout in LAYOUTS:
        assert layout.title in message
    assert "found: labels, pictures" in message


def test_two_layouts_with_other_pairs_are_asked_about(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("image/a.png", "mask/a.png"), ("images/b.png", "masks/b.png"))
    with pytest.raises(
        DataError, match=r"two layouts fit .*L4 .*and L1, L3.*keep the files of one"
    ):
        open_contents(tmp_path)


def test_mixed_images_of_sirst_v2_are_not_read_twice(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("mixed/a.png", "annotations/masks/a_pixels0.png"))
    write_grey(tmp_path / "images" / "targets" / "a.png")
    assert [entry.image for entry in open_contents(tmp_path).entries.values()] == ["mixed/a.png"]


@pytest.mark.parametrize(
    "names",
    [("a/b_c_d", "a_b/c_d", "a_b_c/d"), ("a/b_c", "a_b/c")],
)
def test_every_image_of_a_shared_id_is_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_pairs(tmp_path, *((f"images/{name}.png", f"masks/{name}.png") for name in names))
    contents = open_contents(tmp_path)
    (fault,) = contents.found.faults
    assert dict(contents.entries) == {}
    assert contents.found.orphans == ()
    assert all(f"images/{name}.png" in fault.reason for name in names)


def test_parts_that_use_the_same_names_head_the_ids(tmp_path: Path) -> None:
    files = ("train/1.png", "test/1.png", "test/2.png")
    write_pairs(tmp_path, *((f"images/{file}", f"masks/{file}") for file in files))
    write_text(tmp_path / "boxes" / "train" / "1.txt", "[10, 3, 4, 4]")
    contents = open_contents(tmp_path)
    assert contents.layout == "L11"
    assert {entry.id: entry.mask for entry in contents.entries.values()} == {
        "train_1": "masks/train/1.png",
        "test_1": "masks/test/1.png",
        "test_2": "masks/test/2.png",
    }


def test_sequences_of_one_name_in_two_parts_are_two(tmp_path: Path) -> None:
    write_pairs(tmp_path, *((f"{p}/s/img/1.png", f"{p}/s/mask/1.png") for p in ("train", "val")))
    entries = open_contents(tmp_path).entries.values()
    assert sorted((entry.id, entry.sequence, entry.frame) for entry in entries) == [
        ("train_s_1", "train_s", 0),
        ("val_s_1", "val_s", 0),
    ]


def test_shared_ids_are_no_second_layout(tmp_path: Path) -> None:
    for file in ("images/train/1.png", "images/train/1.bmp", "masks/train/1.png"):
        write_target(tmp_path / file)
    write_text(tmp_path / "boxes" / "train" / "1.txt", "[10, 3, 4, 4]")
    (fault,) = open_contents(tmp_path).found.faults
    assert "several images have this id" in fault.reason


def test_layouts_are_tried_before_a_single_folder_is_entered(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("outer/train/images/a.png", "outer/train/masks/a.png"))
    contents = open_contents(tmp_path)
    assert (contents.layout, contents.tree.root) == ("L7", tmp_path / "outer")
    assert contents.entries["a"].part == "train"


def test_composed_and_decomposed_names_are_equal(tmp_path: Path) -> None:
    composed, decomposed = "\u00fc", "u\u0308"
    write_pairs(tmp_path, (f"images/{composed}.png", f"masks/{decomposed}.png"))
    assert list(open_contents(tmp_path).entries) == [composed]
