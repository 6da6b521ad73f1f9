"""The images of a data set's folder, each with its ground truth, and what does not fit together."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
        id: a plain name, unique in the folder.
        name: what split lists call it: the id, or `sequence/frame`.
        image: file, relative to the folder.
        mask: file of the mask; None where `marks` hold the ground truth or none is needed because
            the layout says that there is no target.
        marks: boxes, points or outlines.
        part: `train`, `val` or `test` where folders state it.
        sequence: name of its video.
        frame: position in that video, from 0.
    """

    id: str
    name: str
    image: str
    mask: str | None = None
    marks: Marks | None = None
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
    """

    entries: Mapping[str, Entry]
    faults: tuple[Fault, ...] = ()
    orphans: tuple[Fault, ...] = ()
    absent: tuple[Fault, ...] = ()
    unlabelled: tuple[str, ...] = ()

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
    unused = _by_name(masks)
    entries: dict[str, Entry] = {}
    faults: list[Fault] = []
    for key, matches in _by_name(images).items():
        first, file, plain = matches[0], matches[0].string, "_".join(key)
        partners = [
            match.string
            for ending in MASK_ENDINGS
            for match in unused.pop((*key[:-1], key[-1] + ending), ())
        ]
        no_target = bool(empty_folder) and file.startswith(empty_folder)
        if len(matches) > 1 or plain in entries:
            entries.pop(plain, None)
            files = ", ".join(match.string for match in matches)
            faults.append(Fault(plain, matches[-1].string, f"several images have this id: {files}"))
        elif len(partners) != 1 - no_target:
            expected = _expected_mask(masks[0], first) if masks else file
            faults.append(_unpaired(plain, file, partners, no_target, expected))
        else:
            entries[plain] = _entry(key, first, partners, part_names)
    orphans = [
        (match, (*key[:-1], _without_ending(key[-1]))) for key in unused for match in unused[key]
    ]
    return Found(
        number_frames(entries),
        tuple(faults),
        tuple(Fault("_".join(key), match.string, NO_IMAGE) for match, key in orphans),
        tuple(
            Fault("_".join(key), _like(images[0], match, key[-1]), "the image is missing")
            for match, key in orphans
            if images
        ),
    )


def _entry(
    key: Sequence[str],
    image: re.Match[str],
    partners: Sequence[str],
    part_names: Mapping[str, str],
) -> Entry:
    names = image.groupdict()
    return Entry(
        "_".join(key),
        "/".join(key),
        image.string,
        mask=partners[0] if partners else None,
        part=part_names.get(names.get("part") or ""),
        sequence=names.get("sequence"),
    )


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


def _by_name(matches: Iterable[re.Match[str]]) -> dict[tuple[str, ...], list[re.Match[str]]]:
    """Group files by (sequence, name) or (name,)."""
    groups: dict[tuple[str, ...], list[re.Match[str]]] = defaultdict(list)
    for match in matches:
        parts = match.groupdict()
        sequence = parts.get("sequence")
        groups[(parts["name"],) if sequence is None else (sequence, parts["name"])].append(match)
    return groups


def _unpaired(
    plain: str, image: str, masks: Sequence[str], no_target: bool, expected: str
) -> Fault:
    if no_target:
        return Fault(plain, masks[0], f"{image} stands among the images without targets")
    if masks:
        return Fault(plain, masks[0], f"expected one mask for {image}, got: {', '.join(masks)}")
    return Fault(plain, expected, "the mask is missing")


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
