"""`backgrounds.csv` gives real images their kind of background."""

from pathlib import Path

import pytest

from irstd.data.construction.labels import class_balance
from irstd.data.index import read_index
from irstd.data.layouts import open_contents
from irstd.data.reading import open_source
from irstd.data.store import write_prepared
from irstd.errors import DataError
from tests.folders import write_grey, write_text
from tests.sirst_layout import sirst_params, write_sirst


def test_the_kinds_come_into_the_index(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path / "raw")
    write_text(folder / "backgrounds.csv", "id,background\r\ns_0, sky\r\n\r\ns_11,ground\r\n")
    reading = open_source(folder, sirst_params().data, seed=1)
    write_prepared(tmp_path / "new", reading.images, "sirst")
    index = read_index(tmp_path / "new").set_index("id")
    assert index["background"].dropna().to_dict() == {"s_0": "sky", "s_11": "ground"}
    assert len(index) == 12
    counts = class_balance(index, {"sky": "aerial", "sea": "maritime", "ground": "land"})["images"]
    assert counts == {"aerial": 1, "land": 1, "maritime": 0, "unknown": 10}


def test_without_the_file_no_background_is_stated(tmp_path: Path) -> None:
    images = open_source(write_sirst(tmp_path), sirst_params().data, seed=1).images
    assert {raw.background for raw in images} == {None}


def test_an_image_with_a_fault_may_be_named(tmp_path: Path) -> None:
    folder = write_sirst(tmp_path)
    (folder / "masks" / "s_0_pixels0.png").unlink()
    write_text(folder / "backgrounds.csv", "id,background\ns_0,sea\ns_1,sea\n")
    params = sirst_params(fault_policy="quarantine").data
    images = list(open_source(folder, params, seed=1).images)
    assert [raw.id for raw in images if raw.background == "sea"] == ["s_1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected the header id,background, got an empty file"),
        ("name,kind\ns_0,sky", r"expected the header id,background, got name,kind"),
        ("id,background\ns_0", r"row 2: expected id,background, got s_0"),
        ("id,background\ns_0,sky\nt_9,sky", r"row 3: expected the id of .* got 't_9'"),
        ("id,background\ns_0,forest", r"unknown background 'forest' of s_0; .* sky, sea, ground"),
        ("id,background\ns_0,sky\ns_0,sea", r"row 3: s_0 stands in the file twice"),
        ('id,background\n"s_0,sky', r"expected a CSV file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    folder = write_sirst(tmp_path)
    write_text(folder / "backgrounds.csv", text)
    with pytest.raises(DataError, match=message):
        open_source(folder, sirst_params().data, seed=1)


def test_the_file_is_no_table_of_points(tmp_path: Path) -> None:
    write_grey(tmp_path / "images" / "a.png")
    write_text(tmp_path / "points.csv", "image,x,y\na.png,3,4\n")
    write_text(tmp_path / "backgrounds.csv", "id,background\na,sky\n")
    contents = open_contents(tmp_path)
    assert (contents.layout, list(contents.entries)) == ("points", ["a"])
