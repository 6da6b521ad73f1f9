"""The images of a data set's folder, each with its ground truth, and what does not fit together."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from irstd.data.marks import Marks
from irstd.data.sources import Fault
from irstd.data.tree import Tree

MASK_ENDINGS = ("", "_pixels0", "_mask", "_gt")
"""What data sets add to an image's name to name its mask."""

NO_IMAGE = "a mask without image"


@dataclass(frozen=True)
class Entry:
    """One image of a folder.

    Attributes:
        id: a plain name, unique in the folder; headed by the part (`train_1`) where parts of the
            folder use the same names.
        name: what split lists call it: the id, or `sequence/frame`.
        image: file, relative to the folder.
        mask: file of the mask; None where `marks` hold the ground truth or none is needed because
            the layout says that there is no target.
        marks: boxes, points or outlines.
        annotation: file that states them.
        part: `train`, `val` or `test` where folders state it.
        sequence: name of its video.
        frame: position in that video, from 0.
    """

    id: str
    name: str
    image: str
    mask: str | None = None
    marks: Marks | None = None
    annotation: str | None = None
    part: str | None = None
    sequence: str | None = None
    frame: int | None = None


@dataclass(frozen=True)
class Found:
    """What a layout finds in a folder.

    Attributes:
        entries: images with ground truth, by id.
        faults: images whose ground truth is missing or ambiguous.
        orphans: ground truth without an image, by its own file.
        absent: images that only their masks show to exist, by the file that is missing.
        unlabelled: images left aside because nothing is known of their targets.
        images: every image file that has a name among the ids, faulty ones included, with its id.
        truths: masks that belong to them, more than one of an image included.
    """

    entries: Mapping[str, Entry]
    faults: tuple[Fault, ...] = ()
    orphans: tuple[Fault, ...] = ()
    absent: tuple[Fault, ...] = ()
    unlabelled: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    truths: frozenset[str] = frozenset()

    @property
    def claimed(self) -> frozenset[str]:
        """Files that hold an image or its ground truth, right or wrong."""
        files = {
            file
            for entry in self.entries.values()
            for file in (entry.image, entry.mask, entry.annotation)
            if file is not None
        }
        return self.truths.union(self.images, files)

    @property
    def n_images(self) -> int:
        """Number of images, with or without usable ground truth."""
        return len(self.entries) + len({fault.id for fault in self.faults}) + len(self.unlabelled)


@dataclass(frozen=True)
class Contents:
    """A folder, opened.

    Attributes:
        tree: its files.
        layout: code of the layout.
        found: images and ground truth.
        has_lists: text files with `train` or `test` in their names list ids.
    """

    tree: Tree
    layout: str
    found: Found
    has_lists: bool = True

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Images with ground truth, by id."""
        return self.found.entries


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts numbers in a name by value: `1(2)` before `1(10)`."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def stem_of(file: str) -> str:
    """Name of a file without folders and suffix."""
    return re.sub(r"\.[^.]*$", "", file.rpartition("/")[2])


def normal(name: str) -> str:
    """A name with composed letters, as file systems differ in how they write an umlaut."""
    return unicodedata.normalize("NFC", name)


def name_images(entries: Sequence[Entry]) -> Found:
    """Make ids unique: by the part where parts of the folder use the same names, else by a fault.

    Args:
        entries: all images of a folder, with the ids that their names and sequences give.

    Returns:
        The entries whose id is theirs alone, their frames not yet numbered, and a fault for each id
        that several images have.
    """
    if _parts_share_names(entries):
        entries = [_headed(entry) for entry in entries]
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.id].append(entry)
    faults = [
        Fault(name, files[-1], f"several images have this id: {', '.join(files)}")
        for name, group in groups.items()
        if len(files := [entry.image for entry in group]) > 1
    ]
    return Found(
        {name: group[0] for name, group in groups.items() if len(group) == 1},
        tuple(faults),
        images={entry.image: entry.id for entry in entries},
    )


def _parts_share_names(entries: Iterable[Entry]) -> bool:
    parts: dict[str, set[str | None]] = defaultdict(set)
    for entry in entries:
        parts[entry.id].add(entry.part)
    return any(len(stated) > 1 for stated in parts.values())


def _headed(entry: Entry) -> Entry:
    if entry.part is None:
        return entry
    return replace(
        entry,
        id=f"{entry.part}_{entry.id}",
        name=f"{entry.part}_{entry.name}",
        sequence=None if entry.sequence is None else f"{entry.part}_{entry.sequence}",
    )


class _Key(NamedTuple):
    """What an image and its mask have in common."""

    part: str | None
    sequence: str | None
    name: str

    def entry(self, image: str) -> Entry:
        """An image of this name, without ground truth."""
        words = [word for word in (self.sequence, self.name) if word is not None]
        return Entry(
            "_".join(words), "/".join(words), image, part=self.part, sequence=self.sequence
        )


def pair(
    images: Sequence[re.Match[str]],
    masks: Sequence[re.Match[str]],
    part_names: Mapping[str, str],
    empty_folder: str = "",
) -> Found:
    """Give each image its mask by name.

    Args:
        images: matches with a group `name` and, where folders state them, `part` and `sequence`.
        masks: the same for masks; the name may end as in `MASK_ENDINGS`.
        part_names: folder name to `train`, `val` or `test`.
        empty_folder: images below it have no targets, and no mask.
    """
    keys = {image.string: _key(image, part_names) for image in images}
    by_file = {image.string: image for image in images}
    partners = _partners(keys, masks, part_names)
    found = name_images([key.entry(file) for file, key in keys.items()])
    entries, faults = {}, list(found.faults)
    for entry in number_frames(found.entries).values():
        chosen = partners[entry.image]
        no_target = bool(empty_folder) and entry.image.startswith(empty_folder)
        if len(chosen) == 1 - no_target:
            entries[entry.id] = replace(entry, mask=chosen[0] if chosen else None)
        else:
            expected = _expected_mask(masks[0], by_file[entry.image]) if masks else entry.image
            faults.append(_unpaired(entry, chosen, no_target, expected))
    used = frozenset(mask for chosen in partners.values() for mask in chosen)
    alone = [mask for mask in masks if mask.string not in used]
    absent = _absent_images(alone, images, part_names)
    return replace(
        found,
        entries=entries,
        faults=tuple(faults),
        orphans=tuple(Fault(entry.id, mask.string, NO_IMAGE) for mask, entry in absent),
        absent=tuple(Fault(e.id, e.image, "the image is missing") for _, e in absent if images),
        truths=used,
    )


def _partners(
    keys: Mapping[str, _Key], masks: Sequence[re.Match[str]], part_names: Mapping[str, str]
) -> dict[str, list[str]]:
    """The masks that each image may mean, by the image's file."""
    by_key: dict[_Key, list[str]] = defaultdict(list)
    for mask in masks:
        by_key[_key(mask, part_names)].append(mask.string)
    return {
        file: [
            mask
            for ending in MASK_ENDINGS
            for mask in by_key.get(key._replace(name=key.name + ending), ())
        ]
        for file, key in keys.items()
    }


def _absent_images(
    masks: Sequence[re.Match[str]],
    images: Sequence[re.Match[str]],
    part_names: Mapping[str, str],
) -> list[tuple[re.Match[str], Entry]]:
    """The images that masks without one are made for."""
    keys = [_key(mask, part_names) for mask in masks]
    keys = [key._replace(name=_without_ending(key.name)) for key in keys]
    return [
        (mask, key.entry(_like(images[0], mask, key.name) if images else ""))
        for key, mask in zip(keys, masks, strict=True)
    ]


def number_frames(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """State each frame's position in its sequence, in the order of the numbers in its name."""
    sequences: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries.values():
        if entry.sequence is not None:
            sequences[entry.sequence].append(entry)
    frames = {
        entry.id: frame
        for members in sequences.values()
        for frame, entry in enumerate(sorted(members, key=lambda entry: natural(entry.name)))
    }
    return {name: replace(entry, frame=frames.get(name)) for name, entry in entries.items()}


def _key(match: re.Match[str], part_names: Mapping[str, str]) -> _Key:
    groups = match.groupdict()
    sequence = groups.get("sequence")
    return _Key(
        part_names.get(groups.get("part") or ""),
        None if sequence is None else normal(sequence),
        normal(groups["name"]),
    )


def _unpaired(entry: Entry, masks: Sequence[str], no_target: bool, expected: str) -> Fault:
    name, image = entry.id, entry.image
    if no_target:
        return Fault(name, masks[0], f"{image} stands among the images without targets")
    if masks:
        return Fault(name, masks[0], f"expected one mask for {image}, got: {', '.join(masks)}")
    return Fault(name, expected, "the mask is missing")


def _expected_mask(example: re.Match[str], image: re.Match[str]) -> str:
    """Where the mask of an image would stand, by the example of another mask."""
    ending = next(end for end in reversed(MASK_ENDINGS) if example["name"].endswith(end))
    return _like(example, image, image["name"] + ending)


def _like(example: re.Match[str], other: re.Match[str], name: str) -> str:
    """The example's path with the part and the sequence of another file, and a name."""
    common = set(example.groupdict()) & set(other.groupdict())
    groups = {group: other[group] for group in ("part", "sequence") if group in common}
    pieces, end = [], 0
    for group, value in (groups | {"name": name}).items():
        start, stop = example.span(group)
        pieces += [example.string[end:start], value]
        end = stop
    return "".join((*pieces, example.string[end:]))


def _without_ending(name: str) -> str:
    for ending in MASK_ENDINGS[1:]:
        name = name.removesuffix(ending)
    return name
