"""Everything that is wrong with a folder of images, in one pass and within bounded memory."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from irstd.data.archives import archive_faults
from irstd.data.duplicates import near_elsewhere, perceptual_hash, shared_elsewhere
from irstd.data.entries import Contents, Found, natural, stem_of
from irstd.data.faults import FaultLog, Reader
from irstd.data.index import checksum, label_targets
from irstd.data.layouts import IMAGE_FILE, read_contents
from irstd.data.listing import (
    Listed,
    Listing,
    find_groups,
    published_lists,
    read_list,
    resolve,
    split_parts,
)
from irstd.data.pixels import decode_grey, read_header
from irstd.data.sources import SOURCES, Fault, Source
from irstd.data.tree import Tree, scan
from irstd.errors import DataError

UNKNOWN = "unknown"
LAYOUT_SOURCES = {"L2": "sirst_v2", "field": "sirst_v2_field"}
"""Layouts that one data set alone has."""

NEAR_BITS = 4
"""Perceptual hashes of nearly equal images differ in at most so many of 64 bits."""

UNREAD = r"(?:.*/)?[^/]+\.(?i:gif|webp)"
"""Pictures of kinds that no data set here uses; they are not decoded."""

MOST_COMPARED = 5000
"""Images whose hashes are compared pair by pair; of more, `irstd data build` removes duplicates."""


@dataclass
class Findings:
    """What `check_folder` finds.

    Attributes:
        source: the data set, by its ids; "unknown" if they fit none.
        images: how many there are, faulty ones included.
        faults: what is wrong, each with its file.
        warnings: what may be meant: near-duplicates, unlisted images, missing lists, counts, files
            that belong to no image.
    """

    source: str = UNKNOWN
    images: int = 0
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_folder(folder: Path) -> Findings:
    """Check every file of a folder. Images are decoded one by one, after their headers.

    Raises:
        DataError: there is no such folder.
    """
    tree, found = scan(folder), Found({})
    findings = Findings()
    try:
        contents = read_contents(tree)
    except DataError as error:
        findings.faults.append(Fault("", ".", str(error)))
    else:
        tree, found = contents.tree, contents.found
        findings.source, findings.images = guess_source(contents), contents.found.n_images
        findings.faults += (*contents.found.faults, *contents.found.orphans)
        _check_lists(contents, findings)
        _check_images(contents, findings)
    for file in tree.files:
        if file.lower().endswith(".zip") and file not in tree.unreadable:
            findings.faults += archive_faults(tree.root / file, file)
    _check_others(tree, found, findings)
    named = {fault.file for fault in findings.faults}
    findings.faults += [
        Fault(stem_of(file), file, reason)
        for file, reason in tree.unreadable.items()
        if file not in named
    ]
    inner = tree.root.relative_to(folder.resolve())
    findings.faults = sorted(
        {replace(fault, file=(inner / fault.file).as_posix()) for fault in findings.faults},
        key=lambda fault: (fault.file, fault.id, fault.reason),
    )
    return findings


def guess_source(contents: Contents) -> str:
    """Name of the data set that a folder holds, by the names and the size of its images."""
    if contents.layout in LAYOUT_SOURCES:
        return LAYOUT_SOURCES[contents.layout]
    for name, source in SOURCES.items():
        pattern = re.compile(source.id_pattern or "")
        if source.id_pattern and contents.entries and all(map(pattern.fullmatch, contents.entries)):
            return name if _has_size(contents, source) else UNKNOWN
    return UNKNOWN


def _has_size(contents: Contents, source: Source) -> bool:
    """Whether the images have the published size, where there is one, by one of them."""
    return source.size is None or stated_size(contents) == source.size


def stated_size(contents: Contents) -> tuple[int, int] | None:
    """Size of the first image whose header can be read; None if none can."""
    for entry in contents.entries.values():
        try:
            return read_header(contents.tree.read(entry.image))
        except DataError:
            continue  # a fault of this image, found when it is decoded
    return None


def _check_lists(contents: Contents, findings: Findings) -> None:
    """Check that lists name images of the folder, each once."""
    source = SOURCES.get(findings.source)
    groups = find_groups(contents)
    readable = {name: dict(_readable(contents, files, findings)) for name, files in groups.items()}
    for name, files in published_lists(contents, source).items():
        usable = dict(_readable(contents, files, findings))
        twin = next((key for key, group in readable.items() if _covers(group, usable)), None)
        readable[name] = usable if twin is None else readable.pop(twin)
        findings.warnings += [
            f"split {name}: {file} lists {count}, {expected} published"
            for part, file in usable.items()
            if source and (expected := source.splits[name][part].count) is not None
            if (count := len(read_list(contents.tree, file))) != expected
        ]
    stated = any(entry.part for entry in contents.entries.values())
    if contents.has_lists and not groups and not stated:
        findings.warnings.append("no split list: no file such as train.txt and test.txt")
    for name, files in readable.items():
        _check_group(contents, name, files, findings)


def _covers(group: Mapping[str, str], files: Mapping[str, str]) -> bool:
    return set(files.values()) <= set(group.values())


def _readable(
    contents: Contents, files: Mapping[str, str], findings: Findings
) -> Iterator[tuple[str, str]]:
    for part, file in files.items():
        try:
            read_list(contents.tree, file)
        except DataError as error:
            findings.faults.append(Fault(stem_of(file), file, str(error)))
        else:
            yield part, file


def _check_group(
    contents: Contents, name: str, files: Mapping[str, str], findings: Findings
) -> None:
    """Check the lists of one split; `trainval` must keep apart from `test` as well."""
    parts = split_parts(files)
    variants = [parts]
    if "trainval" in files:
        variants.append({part: files[part] for part in ("test", "trainval") if part in files})
    if "trainvaltest" in files:
        variants.append({"trainvaltest": files["trainvaltest"]})
    cut: list[str] = []
    listed: set[str] = set()
    for variant in variants:
        listing = resolve(contents, {part: (file,) for part, file in variant.items()})
        known = set(contents.found.absent)  # named by their masks
        findings.faults += (*listing.repeated, *(set(listing.missing) - known))
        listed |= {item.id for item in listing.items}
        cut = cut or _cut_sequences(listing)
    if cut:
        findings.warnings.append(f"split {name}: {_some(cut, 'sequences')} in several parts")
    unlisted = sorted(set(contents.entries) - listed)
    if unlisted:
        findings.warnings.append(f"split {name}: {_some(unlisted)} not listed")
    absent = {"train", "test"} - set(parts)
    if absent and "trainvaltest" not in files:
        findings.warnings.append(f"split {name}: no list for {' and '.join(sorted(absent))}")


def _cut_sequences(listing: Listing) -> list[str]:
    """Sequences with frames in more than one part."""
    parts: dict[str, set[str]] = defaultdict(set)
    for item in listing.items:
        if item.entry.sequence is not None:
            parts[item.entry.sequence].add(item.split)
    return sorted((name for name, stated in parts.items() if len(stated) > 1), key=natural)


def _check_others(tree: Tree, found: Found, findings: Findings) -> None:
    """Decode the image files that are not read as an image with its ground truth."""
    entries = found.entries.values()
    read = {entry.image for entry in entries} | {entry.mask for entry in entries}
    known = {*found.claimed, *found.unlabelled, *(fault.file for fault in findings.faults)}
    others = []
    for match in tree.matching(rf"(?:.*/)?{IMAGE_FILE}|{UNREAD}"):
        file = match.string
        if file in read or file in tree.unreadable:
            continue
        try:
            if match["name"] is not None:
                content = tree.read(file)
                read_header(content)
                decode_grey(content)
        except DataError as error:
            findings.faults.append(Fault(stem_of(file), file, str(error)))
        if file not in known:
            others.append(file)
    if others and found.entries:
        findings.warnings.append(f"{_some(others, 'files')} belong to no image")


def _check_images(contents: Contents, findings: Findings) -> None:
    """Decode every pair; compare images with each other and counts with the published ones."""
    log, source = FaultLog("quarantine"), SOURCES.get(findings.source)
    reader = Reader(contents, log, None)
    compares = find_spec("imagehash") is not None and len(contents.entries) <= MOST_COMPARED
    ids, sums, hashes, scenes, n_targets = [], [], [], [], 0
    for entry in tqdm(contents.entries.values(), desc="check", unit="image"):
        raw = reader.read(Listed(entry, "test"))
        if raw is None:
            continue
        n_targets += label_targets(raw.mask)[1]
        ids.append(entry.id)
        sums.append(checksum(raw.image, np.zeros((0, 0), np.uint8)))
        scenes.append(entry.sequence or entry.id)
        hashes.append(perceptual_hash(raw.image) if compares else 0)
    reader.close()
    findings.faults += [fault for fault, _ in log.entries]
    equal = shared_elsewhere(sums, scenes, ids)
    findings.warnings += _partners("equal to", ids, equal)
    if compares:
        near = near_elsewhere(np.array(hashes, np.uint64), sums, scenes, ids, NEAR_BITS)
        findings.warnings += _partners("nearly equal to", ids, near)
    else:
        findings.warnings.append(
            f"near-duplicates were not looked for: that needs irstd[pipeline] and at most "
            f"{MOST_COMPARED} images"
        )
    if contents.found.unlabelled:
        findings.warnings.append(f"{_some(contents.found.unlabelled)} without label, left aside")
    if source and source.n_images not in (None, findings.images):
        findings.warnings.append(f"{findings.images} images, {source.n_images} published")
    elif source and not log.entries and source.n_targets not in (None, n_targets):
        findings.warnings.append(f"{n_targets} targets, {source.n_targets} published")


def _partners(relation: str, ids: Iterable[str], partners: Iterable[str | None]) -> list[str]:
    return [
        f"{name}: {relation} {others}"
        for name, others in zip(ids, partners, strict=True)
        if others is not None
    ]


def _some(names: Iterable[str], kind: str = "images", shown: int = 3) -> str:
    listed = list(names)
    more = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return f"{len(listed)} {kind} ({', '.join(listed[:shown])}{more})"
