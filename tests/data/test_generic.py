import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irstd.data.entries import Contents
from irstd.data.faults import FaultLog, read_images
from irstd.data.layouts import open_contents
from irstd.data.listing import Listed
from irstd.data.marks import Marks, Runs, draw, inside_polygon
from irstd.data.sources import RawImage
from irstd.errors import DataError
from tests.folders import BOX, write_grey, write_text
from tests.sirst_layout import SHAPE


def read(contents: Contents) -> tuple[dict[str, RawImage], list[str]]:
    """Images by id, and the reasons of all faults."""
    log = FaultLog("quarantine")
    items = [Listed(entry, "test") for entry in contents.entries.values()]
    images = {raw.id: raw for raw in read_images(contents, items, log)}
    faults = [fault for fault, _ in log.entries]
    return images, [
        fault.reason for fault in (*contents.found.faults, *contents.found.orphans, *faults)
    ]


def expected_mask() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[BOX] = 1
    return mask


def test_yolo_boxes_are_fractions_of_the_image(tmp_path: Path) -> None:
    for name in ("a", "empty", "unlabelled"):
        write_grey(tmp_path / "images" / f"{name}.png")
    write_text(tmp_path / "labels" / "a.txt", f"0 {12 / 32} {5 / 24} {4 / 32} {4 / 24}\n")
    write_text(tmp_path / "labels" / "empty.txt", "")
    contents = open_contents(tmp_path)
    images, reasons = read(contents)
    assert contents.layout == "YOLO"
    assert reasons == []
    assert contents.found.unlabelled == ("images/unlabelled.png",)
    np.testing.assert_array_equal(images["a"].mask, expected_mask())
    assert images["a"].mask_origin == "boxes"
    np.testing.assert_allclose(images["a"].centres, [(4.5, 11.5)])
    assert images["empty"].centres == ()
    assert not images["empty"].mask.any()


def test_yolo_parts_and_faults(tmp_path: Path) -> None:
    for name in ("train/a", "test/b", "test/c"):
        write_grey(tmp_path / "images" / f"{name}.png")
    write_text(tmp_path / "labels" / "train" / "a.txt", "0 0.5 0.5 0.1 0.1")
    write_text(tmp_path / "labels" / "test" / "b.txt", "0 0.5 0.5 0.1")
    write_text(tmp_path / "labels" / "test" / "c.txt", "0 0.5 nan 0.1 0.1")
    write_text(tmp_path / "labels" / "test" / "d.txt", "")
    contents = open_contents(tmp_path)
    assert {entry.id: entry.part for entry in contents.entries.values()} == {"a": "train"}
    _, reasons = read(contents)
    assert len(reasons) == 3
    assert "line 1: expected `class cx cy w h`" in reasons[0]
    assert "expected a finite number, got 'nan'" in reasons[1]
    assert reasons[2] == "a label without image"


def write_coco(folder: Path, annotations: list[dict[str, Any]], **image: Any) -> None:
    for name in ("a", "b"):
        write_grey(folder / "images" / f"{name}.png")
    images = [{"id": 1, "file_name": "a.png", **image}, {"id": 2, "file_name": "b.png"}]
    content = {"images": images, "annotations": annotations}
    write_text(folder / "annotations" / "instances_test.json", json.dumps(content))


def test_coco_boxes_are_top_left_and_half_open(tmp_path: Path) -> None:
    write_coco(tmp_path, [{"image_id": 1, "bbox": [10, 3, 4, 4]}], height=24, width=32)
    contents = open_contents(tmp_path)
    images, reasons = read(contents)
    assert reasons == []
    np.testing.assert_array_equal(images["a"].mask, expected_mask())
    assert (images["a"].mask_origin, images["a"].centres) == ("boxes", ((4.5, 11.5),))
    assert images["b"].centres == ()
    assert {entry.part for entry in contents.entries.values()} == {"test"}


@pytest.mark.parametrize(
    "outline",
    [
        [[10, 3, 14, 3, 14, 7, 10, 7]],
        {"size": [24, 32], "counts": [243, 4, 20, 4, 20, 4, 20, 4, 449]},
        {"size": [24, 32], "counts": "c74d000000]="},
    ],
    ids=["polygon", "runs", "compressed"],
)
def test_coco_outlines_become_masks(tmp_path: Path, outline: Any) -> None:
    write_coco(tmp_path, [{"image_id": 1, "bbox": [10, 3, 4, 4], "segmentation": outline}])
    images, reasons = read(open_contents(tmp_path))
    assert reasons == []
    np.testing.assert_array_equal(images["a"].mask, expected_mask())
    assert (images["a"].mask_origin, images["a"].centres) == ("pixels", None)


@pytest.mark.parametrize(
    ("annotation", "image", "reason"),
    [
        ({"bbox": [10, 3, 4, 4], "iscrowd": 1}, {}, "expected single targets, got iscrowd"),
        ({"bbox": [40, 3, 4, 4]}, {}, "expected boxes with an area inside the image of 24 x 32"),
        ({"bbox": [1, 3, 4, 4]}, {"height": 9, "width": 9}, "the annotation claims 9 x 9"),
        ({"bbox": [1, 3, 4]}, {}, "expected COCO JSON: not enough values"),
        ({}, {}, "expected `images` with id and file_name"),
        (
            {"bbox": [1, 3, 4, 4], "segmentation": {"size": [9, 9], "counts": [80, 1]}},
            {},
            "expected run lengths that cover 24 x 32 pixels, got 81 for 9 x 9",
        ),
        (
            {"bbox": [1, 3, 4, 4], "segmentation": [[1, 1, 1.1, 1, 1, 1.1]]},
            {},
            "expected outlines that enclose pixels",
        ),
    ],
)
def test_coco_faults(
    tmp_path: Path, annotation: dict[str, Any], image: dict[str, Any], reason: str
) -> None:
    write_coco(tmp_path, [{"image_id": 1, **annotation}], **image)
    _, (found,) = read(open_contents(tmp_path))
    assert reason in found


def test_points_are_one_pixel(tmp_path: Path) -> None:
    for name in ("a", "none", "unlabelled"):
        write_grey(tmp_path / "images" / f"{name}.png")
    write_text(tmp_path / "points.csv", "image,x,y\r\na.png,11.4,5\r\na.png,2,3\r\nnone,,\r\n")
    contents = open_contents(tmp_path)
    images, reasons = read(contents)
    assert (contents.layout, reasons) == ("points", [])
    assert images["a"].centres == ((5.0, 11.4), (3.0, 2.0))
    assert sorted(map(tuple, np.argwhere(images["a"].mask).tolist())) == [(3, 2), (5, 11)]
    assert (images["none"].centres, images["none"].mask_origin) == ((), "points")
    assert contents.found.unlabelled == ("images/unlabelled.png",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,row,col\na,1,2\n", "expected the header image,x,y"),
        ("image,x,y\na,1\n", "line 2: expected image,x,y"),
        (
            "image,x,y\na,40,2\n",
            "expected points inside the image of 24 x 32, got row 2, column 40",
        ),
        ("image,x,y\na,,\nb,1,1\n", "points without image: b"),
        ("image,x,y\na,1,inf\n", "expected a finite number, got 'inf'"),
    ],
)
def test_faults_of_points(tmp_path: Path, text: str, reason: str) -> None:
    write_grey(tmp_path / "images" / "a.png")
    write_text(tmp_path / "points.csv", text)
    _, (found,) = read(open_contents(tmp_path))
    assert reason in found


def test_a_table_that_is_no_table_is_a_fault(tmp_path: Path) -> None:
    write_grey(tmp_path / "images" / "a.png")
    write_text(tmp_path / "points.csv", "image,x,y\n" + "a" * 200_000)
    _, (found,) = read(open_contents(tmp_path))
    assert "field larger than field limit" in found


@pytest.mark.parametrize(
    "marks",
    [
        Marks("boxes", ((0.0, 0.0, 1.0, 1.0),) * 1100, are_fractions=True),
        Marks("boxes", ((0.0, 0.0, 1.0, 1.0),) * 65_537),
        Marks("pixels", outlines=((((0.0, 0.0, 2000.0, 2000.0) * 600),),)),
        Marks("pixels", outlines=(Runs((2048, 2048), (0, 2048 * 2048)),) * 1100),
    ],
    ids=["large boxes", "many boxes", "corners", "runs"],
)
def test_marks_that_take_too_long_are_refused_before_any_is_drawn(marks: Marks) -> None:
    with pytest.raises(DataError, match="expected at most 65536 marks that cover 4294967296"):
        draw(marks, (2048, 2048))


def test_a_polygon_is_tested_in_its_own_box_only() -> None:
    window, inside = inside_polygon([3.0, 2.0, 6.0, 2.0, 6.0, 4.0, 3.0, 4.0], (5, 5))
    assert window == (slice(2, 4), slice(3, 5))
    assert inside.all()
    assert inside_polygon([-9.0, -9.0, -7.0, -9.0, -7.0, -7.0], (5, 5))[1].size == 0


def test_names_of_parts_and_accents_do_not_collide(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_grey(tmp_path / "images" / part / "\u00fc.png")
        write_text(tmp_path / "labels" / part / "u\u0308.txt", "")
    found = open_contents(tmp_path).found
    assert (sorted(found.entries), found.faults) == (["test_\u00fc", "train_\u00fc"], ())


def test_faults_name_the_file_that_is_wrong(tmp_path: Path) -> None:
    boxes, points, coco = (tmp_path / name for name in ("boxes", "points", "coco"))
    for folder in (boxes, points):
        write_grey(folder / "images" / "a.png")
    write_text(boxes / "labels" / "a.txt", "0 0.5 0.5 0 0.1")
    write_text(points / "p.csv", "image,x,y\na,99,1\n")
    write_coco(coco, [{"image_id": 1, "bbox": [99, 3, 4, 4]}])
    annotations = "annotations/instances_test.json"
    for folder, file in ((boxes, "labels/a.txt"), (points, "p.csv"), (coco, annotations)):
        contents, log = open_contents(folder), FaultLog("quarantine")
        items = [Listed(entry, "test") for entry in contents.entries.values()]
        list(read_images(contents, items, log))
        assert [fault.file for fault, _ in log.entries] == [file]
    (coco / "images" / "b.png").unlink()
    (orphan,) = open_contents(coco).found.orphans
    assert (orphan.id, orphan.file) == ("b", annotations)
