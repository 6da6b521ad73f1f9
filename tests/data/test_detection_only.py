"""From boxes and points only detection can be measured; the index says so, with no zero for it."""

from pathlib import Path

import numpy as np

from irstd.data.faults import FaultLog, read_images
from irstd.data.layouts import open_contents
from irstd.data.listing import Listed
from irstd.data.store import PreparedData, write_prepared
from tests.folders import write_grey, write_pairs, write_text


def prepared(folder: Path) -> PreparedData:
    contents = open_contents(folder)
    items = [Listed(entry, "test") for entry in contents.entries.values()]
    write_prepared(folder / "new", read_images(contents, items, FaultLog("fail")), "folder")
    return PreparedData(folder / "new")


def test_what_boxes_do_not_state_is_missing(tmp_path: Path) -> None:
    write_grey(tmp_path / "images" / "a.png")
    write_grey(tmp_path / "images" / "b.png")
    boxes = ["0 0.375 0.25 0.125 0.25", "0 0.5 0.25 0.125 0.25"]  # they touch
    write_text(tmp_path / "labels" / "a.txt", "\n".join(boxes))
    write_text(tmp_path / "labels" / "b.txt", "")
    first, second = (row for _, row in prepared(tmp_path).index.iterrows())
    assert (first["mask_origin"], first["n_targets"]) == ("boxes", 2)
    np.testing.assert_allclose(np.stack(first["centres"]), [(5.5, 11.5), (5.5, 15.5)])
    assert np.isnan(np.asarray(first["target_areas"], dtype=float)).tolist() == [True, True]
    assert np.isnan(first["scr"]).tolist() == [True, True]
    assert (second["mask_origin"], second["n_targets"], len(second["centres"])) == ("boxes", 0, 0)


def test_masks_state_everything(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("images/a.png", "masks/a.png"))
    (row,) = (row for _, row in prepared(tmp_path).index.iterrows())
    assert (row["mask_origin"], row["centres"]) == ("pixels", None)
    assert row["target_areas"].tolist() == [16]
