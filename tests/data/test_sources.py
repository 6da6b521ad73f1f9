import re

import pytest

from irstd.data.layouts import LAYOUTS
from irstd.data.sources import NOT_OFFERED, SOURCES, find_source
from irstd.errors import DataError


def test_unknown_source_lists_the_known() -> None:
    assert find_source("sirst") is SOURCES["sirst"]
    with pytest.raises(
        DataError, match=r"unknown data set 'coco'; choose one of: .*sirst, .*tsirmt"
    ):
        find_source("coco")


def test_what_nobody_can_get_says_why() -> None:
    assert not set(NOT_OFFERED) & set(SOURCES)
    with pytest.raises(DataError, match=r"shr_irst is not offered: .*announced, not published"):
        find_source("shr_irst")


@pytest.mark.parametrize("name", SOURCES)
def test_table_is_consistent(name: str) -> None:
    source = SOURCES[name]
    assert source.title
    assert source.home
    assert source.licence
    for split, lists in source.splits.items():
        assert set(lists) <= {"train", "val", "test"}, split
        assert "test" in lists, split
        for part in lists.values():
            assert all(file.endswith(".txt") and ".." not in file for file in part.files), split
        counts = [part.count for part in lists.values()]
        per_image = not any("new.txt" in file for part in lists.values() for file in part.files)
        if source.n_images is not None and None not in counts and per_image:
            assert sum(count or 0 for count in counts) <= source.n_images, split


@pytest.mark.parametrize(
    ("name", "fits", "does_not"),
    [
        ("sirst", "Misc_111", "S20210303_S10_48"),
        ("irstd_1k", "XDU1000", "XDU"),
        ("nudt_sirst", "001327", "001328"),
        ("nudt_sirst", "000999", "00000999"),
        ("nudt_sirst_sea", "45-01-11", "45-1-11"),
    ],
)
def test_ids_say_which_data_set_it_is(name: str, fits: str, does_not: str) -> None:
    pattern = SOURCES[name].id_pattern
    assert pattern is not None
    assert re.fullmatch(pattern, fits)
    assert not re.fullmatch(pattern, does_not)


@pytest.mark.parametrize("name", SOURCES)
def test_layouts_are_known_ones(name: str) -> None:
    assert set(SOURCES[name].layouts) <= {layout.code for layout in LAYOUTS}
    assert SOURCES[name].layouts or name == "folder"
