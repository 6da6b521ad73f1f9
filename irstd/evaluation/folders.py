"""Images and masks in plain folders, one file each, as a test part of their own.

Images in a subfolder are the frames of one video, the sequence of that name, in the order of the
numbers in their names.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irstd.data.listing import parse_list
from irstd.data.pixels import read_grey, read_mask
from irstd.data.sources import RawImage
from irstd.errors import ConfigError, DataError
from irstd.inference.inputs import IMAGES

MASK_ENDINGS = ("", "_pixels0", "_mask", "_gt")
"""What may stand behind an image's name in the name of its mask."""

LISTED = 10


@dataclass(frozen=True)
class Folders:
    """Where the images stand.

    Attributes:
        images: with one file per image; its relative path without suffix is the image's id.
        masks: with one file per image, named after it, see `MASK_ENDINGS`.
        empty: with images that hold no target and need no mask.
        split: text file with one id a line, each once: of `images` and `masks` only these count.
    """

    images: Path | None = None
    masks: Path | None = None
    empty: Path | None = None
    split: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a list or masks without images, images without masks, and nothing at all.

        Raises:
            ConfigError: so it is.
        """
        if self.split is not None and self.images is None:
            raise ConfigError(f"--split {self.split}: expected --images, of which it lists some")
        if (self.images is None) != (self.masks is None) or (self.images or self.empty) is None:
            raise ConfigError(
                "expected --images with --masks, --empty for images without any target, or both; "
                f"got --images {self.images}, --masks {self.masks}, --empty {self.empty}"
            )

    @property
    def given(self) -> list[Path]:
        """The folders that are named."""
        return [path for path in (self.images, self.masks, self.empty) if path is not None]

    @property
    def files(self) -> list[Path]:
        """All that is read: the folders and the list."""
        return self.given if self.split is None else [*self.given, self.split]


def read_folders(folders: Folders) -> Iterator[RawImage]:
    """Read every image with its mask, by name, all for the test part.

    Raises:
        DataError: a folder is missing or empty, an image has no mask or several, a mask no image,
            two images one name, an id of the list no image or it is there twice (before the first
            image comes); a file is unreadable or a mask not binary (when its turn comes).
    """
    images = _listed(_one_each(folders.images), folders)
    empty = _one_each(folders.empty)
    refuse(f"{folders.empty}: images that are in {folders.images} too", set(images) & set(empty))
    masks = _pair(images, _one_each(folders.masks), folders)
    return _read(images, masks, empty)


def refuse(what: str, names: Sequence[str] | set[str]) -> None:
    """Refuse names, if there are any.

    Raises:
        DataError: says what is wrong with them and lists the first.
    """
    if names:
        raise DataError(f"{what}: {shown(names)}")


def shown(names: Sequence[str] | set[str]) -> str:
    """Names for a message: the first, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(sorted(names)[:LISTED]) + more


def files_by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, list[Path]]:
    """Files of a folder at any depth by relative path without suffix; hidden ones are left out.

    Raises:
        DataError: no such folder, or no file with such a suffix.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected files {', '.join(sorted(suffixes))}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file():
            name = path.relative_to(folder).with_suffix("").as_posix()
            found.setdefault(name, []).append(path)
    if not found:
        raise DataError(f"{folder}: expected files {', '.join(sorted(suffixes))}, found none")
    return found


def _one_each(folder: Path | None) -> dict[str, Path]:
    if folder is None:
        return {}
    found = files_by_name(folder, IMAGES)
    refuse(
        f"{folder}: expected one file of each name, there twice",
        [name for name, paths in found.items() if len(paths) > 1],
    )
    return {name: path for name, (path,) in found.items()}


def _listed(images: dict[str, Path], folders: Folders) -> dict[str, Path]:
    """The images that the list names, or all without one."""
    if folders.split is None:
        return images
    try:
        counts = Counter(parse_list(folders.split.read_text(encoding="utf-8-sig")))
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{folders.split}: expected text with one id a line: {error}") from error
    if not counts:
        raise DataError(f"{folders.split}: expected one id a line, the file is empty")
    refuse(
        f"{folders.split}: expected relative paths without suffix (sky/1 for sky/1.png), got ids "
        f"without an image in {folders.images}",
        counts.keys() - images.keys(),
    )
    refuse(
        f"{folders.split}: expected each id once, got several times",
        [id for id, count in counts.items() if count > 1],
    )
    return {id: path for id, path in images.items() if id in counts}


def _pair(
    images: Mapping[str, Path], masks: Mapping[str, Path], folders: Folders
) -> dict[str, Path]:
    """The mask of each image; each mask belongs to one, if the images are not chosen by a list."""
    candidates = {
        id: [name for ending in MASK_ENDINGS if (name := f"{id}{ending}") in masks] for id in images
    }
    forms = ", ".join(f"ID{ending}" for ending in MASK_ENDINGS)
    where = f"{folders.masks}: expected one mask per image ({forms})"
    refuse(
        f"{where}; images without one, to be given by --empty if they hold no target",
        [id for id, names in candidates.items() if not names],
    )
    refuse(
        f"{where}; images with several", [id for id, names in candidates.items() if len(names) > 1]
    )
    pairs = {id: name for id, (name,) in candidates.items()}
    if folders.split is None:
        surplus = set(masks) - set(pairs.values())
        refuse(f"{where}; masks without an image in {folders.images}", surplus)
    return {id: masks[name] for id, name in pairs.items()}


def _read(
    images: Mapping[str, Path], masks: Mapping[str, Path], empty: Mapping[str, Path]
) -> Iterator[RawImage]:
    frames = _frames([*images, *empty])
    for id, path in images.items():
        yield RawImage(id, "test", read_grey(path), read_mask(masks[id]), *frames[id])
    for id, path in empty.items():
        image = read_grey(path)
        yield RawImage(id, "test", image, np.zeros(image.shape, np.uint8), *frames[id])


def _frames(ids: Sequence[str]) -> dict[str, tuple[str | None, int | None]]:
    """Sequence of each image, its folder, and its position there; None and None without one."""
    lengths: Counter[str] = Counter()
    found: dict[str, tuple[str | None, int | None]] = {}
    for id in sorted(ids, key=_by_number):
        folder, _, _ = id.rpartition("/")
        found[id] = (folder, lengths[folder]) if folder else (None, None)
        lengths[folder] += 1
    return found


def _by_number(name: str) -> list[str | int]:
    """Sorts frame_2 before frame_10: text and numbers by turns."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
