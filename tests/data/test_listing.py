from collections import Counter, defaultdict
from pathlib import Path

import pytest

from irstd.data.entries import Entry
from irstd.data.layouts import open_contents
from irstd.data.listing import (
    Listed,
    Listing,
    choose,
    digest,
    find_list,
    read_list,
    read_split,
    resolve,
)
from irstd.data.sources import SOURCES, SplitList
from irstd.data.tree import scan
from irstd.errors import DataError
from tests.sirst_layout import write_sirst

SIRST = SOURCES["sirst"]


def listed(counts: dict[str, int]) -> list[Listed]:
    """So many single images of each split."""
    return [
        Listed(Entry(f"{split}{number}", f"{split}{number}", ""), split)
        for split, count in counts.items()
        for number in range(count)
    ]


def parts(listing: Listing) -> dict[str, set[str]]:
    return {
        part: {item.id for item in listing.items if item.split == part}
        for part in ("train", "val", "test")
    }


def test_list_is_read_with_any_newline_and_blanks(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\n  b \n\n\nc\rd")
    assert read_list(scan(tmp_path), "list.txt") == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "a\\b", "..", "../images/s_1"])
def test_id_that_could_leave_the_folder_is_a_fault(tmp_path: Path, name: str) -> None:
    folder = write_sirst(tmp_path)
    (folder / "train.txt").write_text(f"s_1\n{name}\n", encoding="utf-8")
    listing = resolve(open_contents(folder), {"train": ("train.txt",)})
    assert [item.id for item in listing.items] == ["s_1"]
    ((fault,),) = [listing.missing]
    assert (fault.id, fault.file) == (name, "train.txt")
    assert "expected an id that is a plain file name" in fault.reason


def test_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="expected a text file"):
        read_list(scan(tmp_path), file.name)


def test_list_must_stand_in_one_place(tmp_path: Path) -> None:
    published = SplitList(("splits/a.txt", "a.txt"), 1)
    (tmp_path / "other.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"expected the split list splits/a\.txt or a\.txt"):
        find_list(scan(tmp_path), published)
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    assert find_list(scan(tmp_path), published) == "a.txt"
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="found the same split list twice"):
        find_list(scan(tmp_path), published)


def test_published_parts_are_kept(tmp_path: Path) -> None:
    listing = read_split(open_contents(write_sirst(tmp_path)), SIRST, "idx_427", 0.5, seed=1)
    assert {part: len(ids) for part, ids in parts(listing).items()} == {
        "train": 6,
        "val": 3,
        "test": 3,
    }
    assert listing.repeated == listing.missing == ()
    assert "splits/idx_427_train.txt: 6 ids listed, 256 published" in listing.differences


def test_validation_part_is_held_out_of_training(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path)
    first = parts(read_split(open_contents(folder), SIRST, "nuaa", 0.25, seed=1))
    assert first["test"] == {"s_0", "s_1", "s_2", "s_3"}
    assert len(first["val"]) == 2
    assert first["train"] | first["val"] == {f"s_{number}" for number in range(4, 12)}

    file = folder / "splits" / "nuaa_213_train.txt"
    file.write_text(
        "\n".join(reversed(read_list(scan(folder), "splits/nuaa_213_train.txt"))), encoding="utf-8"
    )
    assert parts(read_split(open_contents(folder), SIRST, "nuaa", 0.25, seed=1)) == first
    others = [
        parts(read_split(open_contents(folder), SIRST, "nuaa", 0.25, seed)) for seed in range(5)
    ]
    assert any(other["val"] != first["val"] for other in others)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_both_parts_must_keep_images(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(DataError, match=r"data\.val_fraction .* both must be positive"):
        read_split(open_contents(write_sirst(tmp_path)), SIRST, "nuaa", fraction, seed=1)


def test_id_listed_twice_stays_in_the_test_part(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path)
    with (folder / "splits" / "idx_427_train.txt").open("a", encoding="utf-8") as file:
        file.write("\ns_0\ns_11")
    listing = read_split(open_contents(folder), SIRST, "idx_427", 0.2, seed=1)
    assert "s_11" in parts(listing)["test"]
    assert "s_11" not in parts(listing)["train"]
    assert [(fault.id, fault.file, fault.reason) for fault in listing.repeated] == [
        ("s_0", "splits/idx_427_train.txt", "listed again for train; it is kept for train"),
        ("s_11", "splits/idx_427_train.txt", "listed again for train; it is kept for test"),
    ]


def test_choice_is_seeded_and_proportional() -> None:
    items = listed({"test": 86, "val": 85, "train": 256})
    chosen = choose(items, 50, seed=3)
    assert chosen == choose(items, 50, seed=3) == [item for item in items if item in chosen]
    assert chosen != choose(items, 50, seed=4)
    counts = Counter(item.split for item in chosen)
    assert sum(counts.values()) == 50
    for split, total in Counter(item.split for item in items).items():
        assert abs(counts[split] - 50 * total / 427) <= 1, split


def test_choice_keeps_one_of_each_split() -> None:
    items = listed({"test": 2, "val": 1, "train": 97})
    assert {item.split for item in choose(items, 3, seed=0)} == {"train", "val", "test"}


@pytest.mark.parametrize("limit", [None, 4, 9])
def test_choice_of_all(limit: int | None) -> None:
    items = listed({"train": 1, "val": 1, "test": 2})
    assert choose(items, limit, seed=0) == items


def test_choice_takes_sequences_whole_and_the_first_frames_of_the_last_one() -> None:
    entries = [
        Entry(f"{name}_{frame}", f"{name}/{frame}", "", sequence=name, frame=frame)
        for frame in (3, 1, 0, 2, 4)
        for name in "abcd"
    ]
    items = [Listed(entry, "train") for entry in entries] + listed({"test": 5})
    chosen = choose(items, 16, seed=1)
    frames: dict[str, list[int]] = defaultdict(list)
    for item in chosen:
        if item.split == "train":
            frames[str(item.entry.sequence)].append(item.entry.frame or 0)
    lengths = sorted(map(len, frames.values()))
    assert lengths in ([3, 5, 5], [2, 5, 5])
    assert all(sorted(found) == list(range(len(found))) for found in frames.values())
    assert chosen == [item for item in items if item in chosen]


@pytest.mark.parametrize(
    ("split", "sizes"),
    [("idx_427", (256, 85, 86)), ("idx_320", (160, 64, 96)), ("nuaa", (170, 43, 214))],
)
def test_real_lists_have_the_published_sizes(
    shared: Path, split: str, sizes: tuple[int, int, int]
) -> None:
    listing = read_split(open_contents(shared / "data" / "sirst"), SIRST, split, 0.2, seed=0)
    counts = Counter(item.split for item in listing.items)
    assert (counts["train"], counts["val"], counts["test"]) == sizes
    assert listing.differences == ()
    assert listing.repeated == listing.missing == ()


def test_digest_names_the_images_not_the_file() -> None:
    assert digest(["b", "a"]) == digest(("a", "b")) != digest(["a"])
