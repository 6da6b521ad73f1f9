from pathlib import Path

import pytest

from irstd.data.pixels import read_grey
from irstd.errors import DataError
from irstd.stages.sample_data import sample_data
from tests.folders import write_grey, write_text
from tests.sirst_layout import write_sirst


def test_some_images_are_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write_sirst(folder)
    assert sample_data(folder, tmp_path / "sheet.png", count=3) == 3
    assert read_grey(tmp_path / "sheet.png").std() > 0


def test_boxes_are_drawn_too(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_grey(folder / "images" / "a.png")
    write_text(folder / "labels" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    assert sample_data(folder, tmp_path / "sheet.png") == 1


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    write_text(tmp_path / "images" / "a.png", "x")
    write_text(tmp_path / "masks" / "a.png", "x")
    with pytest.raises(DataError, match=r"none of 1 images can be read: images/a\.png"):
        sample_data(tmp_path, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
