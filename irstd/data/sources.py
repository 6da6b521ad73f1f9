"""Where each data set keeps images, masks and split lists, and what reading them gives.

A new data set in separate files for images and masks is one more entry of `SOURCES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from irstd.data.pixels import Grey
from irstd.errors import DataError


@dataclass(frozen=True)
class RawImage:
    """One image of a source with its ground truth.

    Attributes:
        id: identifier, unique within the source.
        split: `train`, `val` or `test`.
        image: (H, W) grey values, uint8 or uint16.
        mask: (H, W), 1 on target pixels, 0 elsewhere.
        sequence: name of the video it belongs to, None for a single frame.
        frame: position in that video, counted from 0, None for a single frame.
        background: kind of background, None where the source does not state it.
        repaired: what was repaired in it, empty if nothing.
    """

    id: str
    split: str
    image: Grey
    mask: UInt8[np.ndarray, "h w"]
    sequence: str | None = None
    frame: int | None = None
    background: str | None = None
    repaired: str = ""


@dataclass(frozen=True)
class Fault:
    """Something wrong with one listed image.

    Attributes:
        id: identifier in the split list.
        file: path of the faulty file, relative to the source's folder, with forward slashes.
        reason: what was expected and what came.
    """

    id: str
    file: str
    reason: str


@dataclass(frozen=True)
class SplitList:
    """One published list of ids.

    Attributes:
        files: the places where copies of the data set keep it, relative to its folder; a folder
            holds one of them.
        count: ids in the list as published.
    """

    files: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Source:
    """Layout and published facts of one data set.

    Attributes:
        title: name and reference.
        image: path of an image, with `{id}`, relative to the data set's folder.
        mask: path of its mask.
        n_images: images as published.
        n_targets: targets as published.
        splits: for each split name the lists of `train`, `test` and, if it has one, `val`.
    """

    title: str
    image: str
    mask: str
    n_images: int
    n_targets: int
    splits: Mapping[str, Mapping[str, SplitList]]

    @property
    def folders(self) -> tuple[str, ...]:
        """Top-level folders that hold images, masks or lists, sorted."""
        lists = [
            file for split in self.splits.values() for part in split.values() for file in part.files
        ]
        return tuple(sorted({path.partition("/")[0] for path in (self.image, self.mask, *lists)}))


SOURCES: Mapping[str, Source] = {
    "sirst": Source(
        title="SIRST: Dai et al., Asymmetric Contextual Modulation, WACV 2021, arXiv:2009.14530",
        image="images/{id}.png",
        mask="masks/{id}_pixels0.png",
        n_images=427,
        n_targets=533,
        splits={
            "idx_427": {
                "train": SplitList(("splits/idx_427_train.txt", "idx_427/train.txt"), 256),
                "val": SplitList(("splits/idx_427_val.txt", "idx_427/val.txt"), 85),
                "test": SplitList(("splits/idx_427_test.txt", "idx_427/test.txt"), 86),
            },
            "idx_320": {
                "train": SplitList(("splits/idx_320_train.txt", "idx_320/train.txt"), 160),
                "val": SplitList(("splits/idx_320_val.txt", "idx_320/val.txt"), 64),
                "test": SplitList(("splits/idx_320_test.txt", "idx_320/test.txt"), 96),
            },
            "nuaa": {
                "train": SplitList(("splits/nuaa_213_train.txt", "50_50/train.txt"), 213),
                "test": SplitList(("splits/nuaa_214_test.txt", "50_50/test.txt"), 214),
            },
        },
    ),
}


def find_source(name: str) -> Source:
    """Look a source up.

    Raises:
        DataError: unknown name.
    """
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}; choose one of: {', '.join(sorted(SOURCES))}")
    return SOURCES[name]
