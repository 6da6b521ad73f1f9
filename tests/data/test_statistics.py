from pathlib import Path

import numpy as np
import pytest

from irstd.data.sources import RawImage
from irstd.data.statistics import ISPANET_TABLE_V, summarise, target_table
from irstd.data.store import PreparedData, write_prepared

CLASSES = {"sky": "aerial", "sea": "maritime"}


def raw(name: str, split: str, boxes: list[tuple[int, int, int, int]], **more) -> RawImage:
    """Targets are filled boxes (top, left, height, width)."""
    image = np.random.default_rng(0).integers(0, 50, (40, 50)).astype(np.uint8)
    mask = np.zeros((40, 50), np.uint8)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = 1
        image[top : top + height, left : left + width] = 200
    return RawImage(name, split, image, mask, **more)


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    images = [
        raw("two", "train", [(3, 4, 2, 3), (20, 30, 4, 5)], background="sky"),
        raw("none", "train", [], background="sky"),
        raw("one", "test", [(10, 10, 1, 2)], background="sea"),
    ]
    write_prepared(tmp_path, images, "folder")
    return PreparedData(tmp_path)


def test_each_target_is_a_row(data: PreparedData) -> None:
    table = target_table(data)
    assert table["id"].tolist() == ["two", "two", "one"]
    assert table["area_px"].tolist() == [6, 20, 2]
    assert table[["height_px", "width_px"]].to_numpy().tolist() == [[2, 3], [4, 5], [1, 2]]
    np.testing.assert_allclose(table["image_share"], np.array([6, 20, 2]) / (40 * 50))
    assert (table["scr"] > 1).all()


def test_figures_are_over_targets_and_over_images(data: PreparedData) -> None:
    found = summarise(data.index, target_table(data), CLASSES)
    assert (found["images"], found["targets"], found["images_without_target"]) == (3, 3, 1)
    assert found["parts"] == {
        "train": {"images": 2, "targets": 2},
        "val": {"images": 0, "targets": 0},
        "test": {"images": 1, "targets": 1},
    }
    area = found["figures"]["area_px"]
    assert (area["low"], area["high"], area["median"], area["undefined"]) == (2, 20, 6, 0)
    assert area["mean"] == pytest.approx(28 / 3)
    assert area["mean_over_images"] == pytest.approx((13 + 2) / 2)  # two images have targets
    assert found["extremes"] == [[1, 2], [4, 5]]
    assert found["classes"]["images"] == {"aerial": 2, "maritime": 1, "unknown": 0}


def test_of_targets_of_one_area_the_extreme_boxes_stand_for_the_range(tmp_path: Path) -> None:
    """As in Table V, whose smallest box of SIRST is 2 x 2 and not 2 x 3 of the same area."""
    corner = raw("a", "test", [(3, 4, 2, 3), (20, 30, 3, 4)])
    corner.mask[3, 4:6] = 0  # four pixels in a box of 2 x 3
    corner.mask[21:23, 31:34] = 0
    others = raw("b", "test", [(3, 4, 2, 2), (20, 30, 2, 3)])
    write_prepared(tmp_path, [corner, others], "folder")
    table = target_table(data := PreparedData(tmp_path))
    assert table["area_px"].tolist() == [4, 6, 4, 6]
    assert summarise(data.index, table, CLASSES)["extremes"] == [[2, 2], [3, 4]]


def test_boxes_and_points_have_no_size(tmp_path: Path) -> None:
    points = raw("a", "test", [(3, 4, 1, 1)], mask_origin="points", centres=((3.0, 4.0),))
    write_prepared(tmp_path, [points], "folder")
    data = PreparedData(tmp_path)
    found = summarise(data.index, target_table(data), CLASSES)
    assert found["targets"] == 1
    assert found["extremes"] is None
    for figure in found["figures"].values():
        assert figure["undefined"] == 1
        assert np.isnan(figure["mean"])


def test_the_published_row_of_sirst() -> None:
    """ISPANet, Table V."""
    row = ISPANET_TABLE_V["sirst"]
    assert (row.images, row.targets) == (427, 533)
    assert row.figures["area_px"].mean == 32.86
    assert (row.figures["height_px"].mean, row.figures["width_px"].mean) == (5.62, 6.94)
