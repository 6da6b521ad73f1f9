import pytest

from irstd.data.sources import SOURCES, find_source
from irstd.errors import DataError


def test_unknown_source_lists_the_known() -> None:
    assert find_source("sirst") is SOURCES["sirst"]
    with pytest.raises(DataError, match="unknown data set 'coco'; choose one of: sirst"):
        find_source("coco")


def test_table_is_consistent() -> None:
    for name, source in SOURCES.items():
        assert "{id}" in source.image, name
        assert "{id}" in source.mask, name
        for split, lists in source.splits.items():
            assert {"train", "test"} <= set(lists) <= {"train", "val", "test"}, (name, split)
            assert sum(part.count for part in lists.values()) <= source.n_images, (name, split)


def test_folders_of_sirst() -> None:
    expected = ("50_50", "idx_320", "idx_427", "images", "masks", "splits")
    assert SOURCES["sirst"].folders == expected
