"""How data sets arrange their files, and which of these ways a folder follows.

`LAYOUTS` is tried from top to bottom; `docs/data_layouts.md` shows it as a table. A layout says
nothing about the data set: several are distributed in one and the same.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from irstd.data.entries import Contents, Found, pair
from irstd.data.generic import POINTS_FILE, collect_coco, collect_points, collect_yolo
from irstd.data.slices import collect_slices
from irstd.data.tree import Tree, scan
from irstd.data.video import VIDEO_FILE, collect_video
from irstd.errors import DataError

SHOWN = 12
"""Entries of a folder named in one message."""

IMAGE_FILE = r"(?P<name>[^/]+)\.(?i:png|bmp|tiff?|jpe?g)"
"""A file name that is that of an image."""

PARTS = {"train": "train", "trainval": "train", "training": "train", "val": "val", "test": "test"}
"""Folder names to parts of a split."""


@dataclass(frozen=True)
class Layout:
    """One way to arrange files.

    Attributes:
        code: short name.
        title: the folders, in words.
        signs: regular expressions, each of which some file must match.
        collect: finds images and ground truth.
        has_lists: split lists stand in text files.
    """

    code: str
    title: str
    signs: tuple[str, ...]
    collect: Callable[[Tree], Found]
    has_lists: bool = True

    def fits(self, tree: Tree) -> bool:
        """Whether every sign is there."""
        return all(any(map(re.compile(sign).fullmatch, tree.files)) for sign in self.signs)


def open_contents(folder: Path) -> Contents:
    """Find the images of a folder and their ground truth.

    Raises:
        DataError: no layout fits, or two that would read different images.
    """
    return read_contents(scan(folder))


def find_layouts(tree: Tree) -> tuple[Tree, list[Layout]]:
    """The layouts that fit a folder, or the only folder in it, and so on; none if none ever does.

    Archives often hold one folder; but a single sequence is a data set as it is.
    """
    while True:
        fitting = [layout for layout in LAYOUTS if layout.fits(tree)]
        inner = tree.only_folder()
        if fitting or inner is None:
            return tree, fitting
        tree = inner


def read_contents(tree: Tree) -> Contents:
    """The same for a folder that is listed already."""
    tree, fitting = find_layouts(tree)
    if not fitting:
        raise DataError(_unknown(tree))
    first, *others = fitting
    found = first.collect(tree)
    for other in others:
        if not other.collect(tree).claimed <= found.claimed:
            raise DataError(
                f"{tree.root}: two layouts fit and would read different files: {first.code} "
                f"({first.title}) and {other.code} ({other.title}); keep the files of one of them"
            )
    return Contents(tree, first.code, found, first.has_lists)


def _unknown(tree: Tree) -> str:
    looked = "\n".join(f"  {layout.code}: {layout.title}" for layout in LAYOUTS)
    tops = sorted(path.name for path in tree.root.iterdir() if not path.name.startswith("."))
    found = ", ".join(tops[:SHOWN]) + (f" and {len(tops) - SHOWN} more" * (len(tops) > SHOWN))
    return (
        f"{tree.root}: expected one of these layouts:\n{looked}\nfound: {found or 'nothing'}; give "
        "the folder that holds them, or rename its folders"
    )


def _masks(
    images: Sequence[str], masks: Sequence[str], empty_folder: str = ""
) -> Callable[[Tree], Found]:
    """Collect image files and mask files by regular expressions."""

    def collect(tree: Tree) -> Found:
        found = [match for pattern in images for match in tree.matching(pattern)]
        partners = [match for pattern in masks for match in tree.matching(pattern)]
        return pair(found, partners, PARTS, empty_folder)

    return collect


def _collect_v2(tree: Tree) -> Found:
    """SIRST-V2: `mixed/` holds the images of both other folders; without it they are read."""
    mixed = tree.matching(f"mixed/{IMAGE_FILE}")
    images = mixed or tree.matching(f"images/(?:targets|backgrounds)/{IMAGE_FILE}")
    return pair(images, tree.matching(rf"annotations/masks/{IMAGE_FILE}"), PARTS)


PART = r"(?P<part>trainval|train|test|val)"
FRAME = rf"(?P<sequence>[^/]+)/{IMAGE_FILE}"

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "L2",
        "annotations/masks/<id>_pixels0.png with mixed/ or images/targets/, images/backgrounds/",
        (r"annotations/masks/[^/]+_pixels0\.png", r"(?:mixed|images/targets)/[^/]+"),
        _collect_v2,
    ),
    Layout(
        "field",
        "images/ with masks/<id>_pixels0.png, and backgrounds/ without targets",
        (r"backgrounds/[^/]+", r"images/[^/]+", r"masks/[^/]+_pixels0\.png"),
        _masks(
            (f"images/{IMAGE_FILE}", f"backgrounds/{IMAGE_FILE}"),
            (f"masks/{IMAGE_FILE}",),
            "backgrounds/",
        ),
        has_lists=False,
    ),
    Layout(
        "L10",
        "IRSTD1k_Img/, IRSTD1k_Label/",
        (r"IRSTD1k_Img/[^/]+", r"IRSTD1k_Label/[^/]+"),
        _masks((f"IRSTD1k_Img/{IMAGE_FILE}",), (f"IRSTD1k_Label/{IMAGE_FILE}",)),
    ),
    Layout(
        "L9",
        "training/<number>_1.png, <number>_2.png; test_org/, test_gt/",
        (r"training/[^/]+_1\.png|test_org/[^/]+",),
        _masks(
            (
                r"(?P<part>training)/(?P<name>[^/]+)_1\.png",
                f"(?P<part>test)_org/{IMAGE_FILE}",
            ),
            (
                r"(?P<part>training)/(?P<name>[^/]+)_2\.png",
                f"(?P<part>test)_gt/{IMAGE_FILE}",
            ),
        ),
        has_lists=False,
    ),
    Layout(
        "L8",
        "train/<id>.bmp, train/gt/<id>_gt.bmp; test/ likewise",
        (r"(?:train|test)/gt/[^/]+_gt\.bmp",),
        _masks((rf"{PART}/(?P<name>[^/]+)\.bmp",), (rf"{PART}/gt/(?P<name>[^/]+)\.bmp",)),
        has_lists=False,
    ),
    Layout(
        "V1",
        "Sequence<N>/Mix/<frame>.mat, Sequence<N>/masks/<frame>.png",
        (r"Sequence\d+/Mix/[^/]+\.mat",),
        collect_slices,
    ),
    Layout(
        "V3",
        "train/<sequence>/img/, train/<sequence>/mask/; val/ and test/ likewise",
        (r"(?:train|val|test)/[^/]+/img/[^/]+",),
        _masks(
            (rf"{PART}/(?P<sequence>[^/]+)/img/{IMAGE_FILE}",),
            (rf"{PART}/(?P<sequence>[^/]+)/mask/{IMAGE_FILE}",),
        ),
        has_lists=False,
    ),
    Layout(
        "V4",
        "images/ and COCO boxes or outlines in instances_*.json or *_coco.json",
        (r"images/.+", r"(?:annotations/)?(?:instances_[^/]*|[^/]*_coco)\.json"),
        collect_coco,
        has_lists=False,
    ),
    Layout(
        "L11",
        "images/train/, masks/train/, boxes/train/; test/ likewise",
        (r"images/train/[^/]+", r"boxes/train/[^/]+"),
        _masks((f"images/{PART}/{IMAGE_FILE}",), (f"masks/{PART}/{IMAGE_FILE}",)),
        has_lists=False,
    ),
    Layout(
        "L7",
        "trainval/images/, trainval/masks/ (or train/); test/ likewise",
        (r"(?:trainval|train)/images/[^/]+", r"(?:trainval|train)/masks/[^/]+"),
        _masks((f"{PART}/images/{IMAGE_FILE}",), (f"{PART}/masks/{IMAGE_FILE}",)),
        has_lists=False,
    ),
    Layout(
        "L4",
        "image/, mask/",
        (r"image/[^/]+", r"mask/[^/]+"),
        _masks((f"image/{IMAGE_FILE}",), (f"mask/{IMAGE_FILE}",)),
    ),
    Layout(
        "L12, V2",
        "images/<sequence>/<frame>, masks/<sequence>/<frame>",
        (r"images/[^/]+/[^/]+", r"masks/[^/]+/[^/]+"),
        _masks((f"images/{FRAME}",), (f"masks/{FRAME}",)),
    ),
    Layout(
        "L1, L3, L5, L6",
        "images/ and masks/ with equal names, or masks ending in _pixels0, _mask, _gt",
        (r"images/[^/]+", r"masks/[^/]+"),
        _masks((f"images/{IMAGE_FILE}",), (f"masks/{IMAGE_FILE}",)),
    ),
    Layout(
        "YOLO",
        "images/, labels/<id>.txt (both flat, or both with train/, val/, test/)",
        (r"images/.+", r"labels/.+\.txt"),
        collect_yolo,
        has_lists=False,
    ),
    Layout(
        "points",
        "images/ and one CSV file with the header image,x,y",
        (r"images/[^/]+", POINTS_FILE),
        collect_points,
    ),
    Layout(
        "video",
        "one video file, and masks/<number>.png for frames counted from 0",
        (VIDEO_FILE, r"masks/\d+\.png"),
        collect_video,
    ),
)
"""Special signs first: those of later layouts occur in earlier ones as well."""
