"""Folders of one's own: images with boxes (YOLO, COCO) or centre points (CSV) instead of masks."""

import csv
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from irstd.data.entries import Entry, Found, name_images, normal, number_frames, stem_of
from irstd.data.marks import Marks, Runs
from irstd.data.sources import Fault
from irstd.data.tree import Tree
from irstd.errors import DataError

IMAGE = r"images/(?P<path>(?:(?P<folder>.+)/)?(?P<name>[^/]+))\.(?i:png|bmp|tiff?|jpe?g)"
PARTS = ("train", "val", "test")
POINTS_HEADER = ["image", "x", "y"]

POINTS_FILE = r"(?!backgrounds\.csv$)[^/]+\.csv"
"""A table of points; `irstd.data.background_list` reads the other one."""


def collect_yolo(tree: Tree) -> Found:
    """`labels/<id>.txt`: `class cx cy w h` as fractions; empty: no target; absent: unlabelled."""
    matches = tree.matching(r"labels/(?P<path>.+)\.txt")
    labels = {normal(match["path"]): match.string for match in matches}
    reader = _Reader(tree)
    for match in tree.matching(IMAGE):
        file = labels.pop(normal(match["path"]), None)
        if file is None:
            reader.unlabelled.append(match.string)
        else:
            reader.add(match, lambda text: _yolo_boxes(text.splitlines()), file)
    for path, file in labels.items():
        reader.orphans.append(Fault(stem_of(path), file, "a label without image"))
    return reader.found()


def collect_points(tree: Tree) -> Found:
    """`image,x,y` from 0; a row without x and y says: no target; no row: unlabelled."""
    tables = [match.string for match in tree.matching(POINTS_FILE)]
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    reader = _Reader(tree)
    if len(tables) > 1:
        reason = f"expected one CSV file, got {', '.join(tables)}"
        return Found({}, (Fault("", tables[1], reason),))
    try:
        _read_points(tree.read_text(tables[0]), points)
    except (DataError, csv.Error) as error:
        return Found({}, (Fault("", tables[0], str(error)),))
    for match in tree.matching(IMAGE):
        name = normal(match.string.removeprefix("images/"))
        key = name if name in points else normal(match["path"])
        if key in points:
            reader.put(match, Marks("points", tuple(points.pop(key))), tables[0])
        else:
            reader.unlabelled.append(match.string)
    for name in points:
        reader.orphans.append(Fault(stem_of(name), tables[0], f"points without image: {name}"))
    return reader.found()


def collect_coco(tree: Tree) -> Found:
    """COCO: boxes, or masks where every annotation of the folder has an outline.

    An image of the file without annotation has no target; one that no file names is unlabelled.
    """
    reader = _Reader(tree)
    pattern = r"(?:annotations/)?(?:instances_[^/]*|[^/]*_coco)\.json"
    stated: dict[str, tuple[Marks, str, str | None]] = {}
    for match in tree.matching(pattern):
        file = match.string
        part = next((name for name in PARTS if re.search(rf"(?:^|_){name}", stem_of(file))), None)
        try:
            for name, marks in _coco_images(tree.read_text(file)).items():
                if name in stated:
                    raise DataError(f"{name} is annotated twice")
                stated[name] = marks, file, part
        except DataError as error:
            reader.faults.append(Fault(stem_of(file), file, str(error)))
    images = tree.matching(IMAGE)
    by_name = {normal(match.string.removeprefix("images/")): match for match in images}
    for name, (marks, file, part) in stated.items():
        found = by_name.pop(name.removeprefix("images/"), None)
        if found is None:
            reason = f"annotated, the image is missing: {name}"
            reader.orphans.append(Fault(stem_of(name), file, reason))
        else:
            reader.put(found, marks, file, part)
    reader.unlabelled += [match.string for match in by_name.values()]
    return reader.found()


class _Reader:
    """Collects entries of annotated images; a file that cannot be read is a fault."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.entries: list[Entry] = []
        self.broken: dict[str, Fault] = {}
        self.faults: list[Fault] = []
        self.orphans: list[Fault] = []
        self.unlabelled: list[str] = []

    def add(self, match: re.Match[str], parse: Callable[[str], Marks], file: str) -> None:
        """Add an image whose annotation stands in a file of its own."""
        try:
            marks = parse(self.tree.read_text(file))
        except DataError as error:
            marks = None
            self.broken[match.string] = Fault("", file, str(error))
        self.put(match, marks, file)

    def put(
        self, match: re.Match[str], marks: Marks | None, file: str, part: str | None = None
    ) -> None:
        """Add an image and the file of its marks; its folder is its part or its sequence."""
        folder = None if match["folder"] is None else normal(match["folder"])
        sequence = None if folder in PARTS else folder
        name = normal(match["name"] if sequence is None else match["path"])
        self.entries.append(
            Entry(
                name.replace("/", "_"),
                name,
                match.string,
                marks=marks,
                annotation=file,
                part=part or (folder if folder in PARTS else None),
                sequence=sequence,
            )
        )

    def found(self) -> Found:
        """What was collected."""
        found = name_images(self.entries)
        numbered = number_frames(found.entries)
        entries = {name: entry for name, entry in numbered.items() if entry.marks is not None}
        broken = [
            replace(self.broken[entry.image], id=entry.id)
            for entry in found.entries.values()
            if entry.marks is None
        ]
        return replace(
            found,
            entries=entries,
            faults=(*self.faults, *found.faults, *broken),
            orphans=tuple(self.orphans),
            unlabelled=tuple(self.unlabelled),
        )


def _yolo_boxes(lines: Sequence[str]) -> Marks:
    boxes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        values = [_number(word) for word in line.split()]
        if len(values) != 5 or not all(0.0 <= value <= 1.0 for value in values[1:]):
            raise DataError(
                f"line {number}: expected `class cx cy w h` with fractions from 0 to 1, "
                f"got {line.strip()!r}"
            )
        x, y, width, height = values[1:]
        boxes.append((y - height / 2, x - width / 2, y + height / 2, x + width / 2))
    return Marks("boxes", tuple(boxes), are_fractions=True)


def _read_points(text: str, points: dict[str, list[tuple[float, float]]]) -> None:
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    if header != POINTS_HEADER:
        raise DataError(f"expected the header image,x,y, got {','.join(header)!r}")
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != 3 or (not row[1].strip()) != (not row[2].strip()):
            raise DataError(f"line {number}: expected image,x,y (x and y may be empty), got {row}")
        places = points[normal(row[0].strip())]
        if row[1].strip():
            places.append((_number(row[2]), _number(row[1])))


def _number(word: object) -> float:
    try:
        value = float(word) if isinstance(word, str | int | float) else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"expected a finite number, got {word!r}")
    return value


def _coco_images(text: str) -> dict[str, Marks]:
    """Marks of each image of a COCO file, by its `file_name`."""
    try:
        content = json.loads(text)
        images = {image["id"]: image for image in content["images"]}
        targets: dict[Any, list[Mapping[str, Any]]] = {name: [] for name in images}
        for annotation in content["annotations"]:
            targets[annotation["image_id"]].append(annotation)
        if len(images) != len(content["images"]):
            raise DataError("expected image ids that differ")
        outlined = all(
            annotation.get("segmentation") for listed in targets.values() for annotation in listed
        ) and any(targets.values())
        return {
            normal(str(image["file_name"])): _coco_marks(image, targets[name], outlined)
            for name, image in images.items()
        }
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected COCO JSON: {error}") from error
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(
            "expected `images` with id and file_name, and `annotations` with image_id and bbox: "
            f"{error!r}"
        ) from error


def _coco_marks(
    image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], outlined: bool
) -> Marks:
    if any(annotation.get("iscrowd") for annotation in annotations):
        raise DataError(
            f"{image['file_name']}: expected single targets, got iscrowd; remove the group"
        )
    size = (int(image["height"]), int(image["width"])) if "height" in image else None
    if outlined:
        outlines = tuple(_outline(annotation["segmentation"]) for annotation in annotations)
        return Marks("pixels", outlines=outlines, size=size)
    boxes = []
    for annotation in annotations:
        x, y, width, height = (_number(value) for value in annotation["bbox"])
        boxes.append((y, x, y + height, x + width))
    return Marks("boxes", tuple(boxes), size=size)


def _outline(segmentation: Any) -> tuple[tuple[float, ...], ...] | Runs:
    if isinstance(segmentation, Mapping):
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        lengths = _decode_runs(counts) if isinstance(counts, str) else counts
        if not all(isinstance(length, int) and length >= 0 for length in lengths):
            raise DataError("expected run lengths that are whole numbers from 0")
        return Runs((height, width), tuple(lengths))
    polygons = tuple(tuple(_number(value) for value in polygon) for polygon in segmentation)
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise DataError("expected polygons of at least three points x, y")
    return polygons


def _decode_runs(text: str) -> list[int]:
    """Run lengths of COCO's compressed text.

    Each number is written in groups of five bits, lowest first, as character 48 + group; 32 says
    that a group follows, and the sign is that of the last. From the fourth number on it is the
    difference from the number two before.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise DataError(f"expected compressed run lengths, got the character {character!r}")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths
