"""How the parts of a split are found: in lists of images or sequences, in folders, by a seed."""

from collections import Counter
from pathlib import Path

import pytest

from irstd.config.splits import MADE, SPLITS
from irstd.data.layouts import open_contents
from irstd.data.listing import Listing, read_split, split_parts
from irstd.data.sources import SOURCES
from irstd.errors import DataError
from tests.folders import write_pairs, write_text


def read(folder: Path, source: str, split: str) -> Listing:
    return read_split(open_contents(folder), SOURCES[source], split, 0.25, seed=1)


def counts(listing: Listing) -> Counter[str]:
    return Counter(item.split for item in listing.items)


def flat(folder: Path, *names: str) -> Path:
    return write_pairs(folder, *((f"images/{name}.png", f"masks/{name}.png") for name in names))


def scenes(folder: Path, *frames: str) -> Path:
    return write_pairs(folder, *((f"images/{name}.bmp", f"masks/{name}.bmp") for name in frames))


def test_every_split_can_be_chosen() -> None:
    offered = {name: tuple(source.splits) for name, source in SOURCES.items()}
    assert offered == {name: splits for name, splits in SPLITS.items() if name not in MADE}


def test_folders_state_the_parts(tmp_path: Path) -> None:
    names = [f"trainval/{{}}/a{number}.png" for number in range(4)] + ["test/{}/b.png"]
    write_pairs(tmp_path, *((name.format("images"), name.format("masks")) for name in names))
    assert counts(read(tmp_path, "sirst_aug", "folders")) == {"train": 3, "val": 1, "test": 1}


def test_lists_of_sequences_keep_them_whole(tmp_path: Path) -> None:
    frames = [f"{scene}/{frame}" for scene in range(1, 7) for frame in range(1, 4)]
    scenes(tmp_path, *frames)
    write_text(tmp_path / "ImageSets" / "train_new.txt", "1\n2\n3\n4\n")
    write_text(tmp_path / "ImageSets" / "val_new.txt", "5\n6")
    listing = read(tmp_path, "tsirmt", "published")
    assert counts(listing) == {"train": 9, "val": 3, "test": 6}
    parts = {item.entry.sequence: item.split for item in listing.items}
    assert len(parts) == 6
    assert all(parts[item.entry.sequence] == item.split for item in listing.items)
    assert "ImageSets/train_new.txt: 4 ids listed, 140 published" in listing.differences


def test_lines_name_frames_of_scenes(tmp_path: Path) -> None:
    scenes(tmp_path, "41/1(1)", "41/1(2)", "42/1(1)")
    write_text(tmp_path / "train.txt", "/41/1(1)\r\n/41/1(2)\r\n/43/1(1)\r\n")
    write_text(tmp_path / "test.txt", "/42/1(1)\r\n")
    contents = open_contents(tmp_path)
    with pytest.raises(DataError, match="1 training images or sequences gives 0 for val"):
        read(tmp_path, "irdst_real", "rdian")  # one sequence cannot be divided
    assert {entry.name for entry in contents.entries.values()} == {"41/1(1)", "41/1(2)", "42/1(1)"}
    scenes(tmp_path, "43/1(1)", "44/1(1)")
    write_text(tmp_path / "train.txt", "/41/1(1)\r\n/41/1(2)\r\n/43/1(1)\r\n/44/1(1)\r\n/45/1(1)")
    listing = read(tmp_path, "irdst_real", "rdian")
    assert sum(counts(listing).values()) == 5
    (fault,) = listing.missing
    assert (fault.id, fault.file) == ("/45/1(1)", "train.txt")


def test_an_image_twice_in_a_sequence_list_is_kept_for_the_test(tmp_path: Path) -> None:
    scenes(tmp_path, *(f"{scene}/1" for scene in range(1, 7)))
    write_text(tmp_path / "ImageSets" / "train_new.txt", "1\n2\n3\n4\n5\n")
    write_text(tmp_path / "ImageSets" / "val_new.txt", "5\n6")
    (fault,) = read(tmp_path, "tsirmt", "published").repeated
    assert (fault.id, fault.file) == ("5_1", "ImageSets/train_new.txt")


def test_lists_of_equal_names_are_told_apart_by_their_counts(tmp_path: Path) -> None:
    flat(tmp_path, "Misc_0", "Misc_1", "Misc_2", "Misc_425")
    names = [f"Misc_{number}" for number in range(426)]
    write_text(tmp_path / "img_idx" / "train_NUAA-SIRST.txt", "\n".join(names[:341]))
    write_text(tmp_path / "img_idx" / "test_NUAA-SIRST.txt", "\n".join(names[341:]))
    with pytest.raises(DataError, match=r"split 'nuaa', got the counts of 'pqgnet' \(341 / 85\)"):
        read(tmp_path, "sirst", "nuaa")
    listing = read(tmp_path, "sirst", "pqgnet")
    assert counts(listing) == {"train": 2, "val": 1, "test": 1}
    assert len(listing.missing) == 422
    assert listing.differences == ()


def test_own_folders_use_the_only_lists_there_are(tmp_path: Path) -> None:
    flat(tmp_path, *"abcdef")
    with pytest.raises(DataError, match=r"found 0 splits \(no list\).*'seeded'"):
        read(tmp_path, "folder", "given")
    write_text(tmp_path / "train.txt", "a\nb\nc")
    write_text(tmp_path / "val.txt", "d")
    write_text(tmp_path / "test.txt", "e\nf")
    assert counts(read(tmp_path, "folder", "given")) == {"train": 3, "val": 1, "test": 2}
    write_text(tmp_path / "other" / "test.txt", "e")
    with pytest.raises(DataError, match="found 2 splits"):
        read(tmp_path, "folder", "given")


def test_own_folders_are_divided_by_a_seed(tmp_path: Path) -> None:
    flat(tmp_path, *"abcdefgh")
    first = read(tmp_path, "folder", "seeded")
    assert counts(first) == {"train": 4, "val": 2, "test": 2}
    assert read(tmp_path, "folder", "seeded") == first


def test_the_field_set_is_for_tests_only(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("images/a.png", "masks/a_pixels0.png"))
    write_pairs(tmp_path, ("backgrounds/b.png", "elsewhere/b.png"))
    assert counts(read(tmp_path, "sirst_v2_field", "field")) == {"test": 2}


def test_trainval_trains_where_there_is_no_train() -> None:
    assert split_parts({"trainval": "a", "test": "b"}) == {"test": "b", "train": "a"}
    both = {"trainval": "a", "train": "c", "val": "d", "test": "b"}
    assert split_parts(both) == {"test": "b", "val": "d", "train": "c"}
