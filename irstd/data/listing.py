"""Split lists: which images of a folder belong to which part."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irstd.data.entries import Contents, Entry, Found, normal
from irstd.data.sources import Fault, Source, SplitList
from irstd.data.tree import Tree
from irstd.errors import DataError

TEST_FIRST = ("test", "val", "train")
"""Order in which parts claim an image that several of them list."""


@dataclass(frozen=True)
class Listed:
    """One image of a split."""

    entry: Entry
    split: str

    @property
    def id(self) -> str:
        """Identifier of the image."""
        return self.entry.id


@dataclass(frozen=True)
class Listing:
    """A split as read.

    Attributes:
        items: each image once: the test part first, then val, then train.
        repeated: ids that were listed more than once; the later listing is dropped, so that no test
            image stays in another part.
        missing: listed ids without a usable pair of image and ground truth.
        differences: how the lists differ from the published counts, in words.
    """

    items: tuple[Listed, ...]
    repeated: tuple[Fault, ...] = ()
    missing: tuple[Fault, ...] = ()
    differences: tuple[str, ...] = ()


def read_split(
    contents: Contents, source: Source, split: str, val_fraction: float, seed: int
) -> Listing:
    """Read one split of a source.

    A split without a validation part gives `val_fraction` of its training part to `val`, chosen by
    `seed`; the test part is never touched. Sequences stay whole.

    Args:
        contents: the source's folder.
        source: its published facts.
        split: one of `source.splits`.
        val_fraction: share of the training part, in [0, 1]; unused where `val` is published.
        seed: of the choice.

    Raises:
        DataError: a list is missing or unreadable, or is that of another split.
    """
    published = source.splits[split]
    if split == "seeded":
        return _seeded(contents, val_fraction, seed)
    if any(part.files for part in published.values()):
        files = {
            part: find_list(contents.tree, published[part])
            for part in TEST_FIRST
            if part in published
        }
        listing = resolve(contents, {part: (file,) for part, file in files.items()})
        counts = {part: len(read_list(contents.tree, file)) for part, file in files.items()}
        _check_other_split(source, split, files, counts)
    else:
        files, listing = _by_folder(contents)
        counts = Counter(item.split for item in listing.items)
    differences = tuple(
        f"{files.get(part, part)}: {counts.get(part, 0)} ids listed, {expected.count} published"
        for part, expected in published.items()
        if expected.count is not None and counts.get(part, 0) != expected.count
    )
    items = listing.items
    if "val" not in published and "train" in published:
        items = _hold_out(items, {"val": val_fraction}, seed)
    return Listing(items, listing.repeated, listing.missing, differences)


def find_list(tree: Tree, published: SplitList) -> str:
    """Find a list file.

    Raises:
        DataError: none or several of its places are taken.
    """
    places = tuple(dict.fromkeys(published.files))
    found = [file for file in places if file in tree.files]
    if not found:
        raise DataError(
            f"{tree.root}: expected the split list {' or '.join(places)}, found none of them; "
            "add it, or choose another data.split"
        )
    if len(found) > 1:
        raise DataError(
            f"{tree.root}: found the same split list twice: {', '.join(found)}; keep one"
        )
    return found[0]


def published_lists(contents: Contents, source: Source | None) -> dict[str, dict[str, str]]:
    """The published splits of which a folder holds every list; the test part first.

    Of splits whose lists have the same names, the one with the counts of the files.
    """
    found: dict[tuple[str, ...], str] = {}
    splits: dict[str, dict[str, str]] = {}
    for name, lists in (source.splits if source else {}).items():
        files = {
            part: next((file for file in lists[part].files if file in contents.tree.files), "")
            for part in TEST_FIRST
            if part in lists
        }
        if all(files.values()) and tuple(files.values()) not in found:
            found[tuple(files.values())] = name
            splits[name] = files
        elif all(files.values()) and all(
            len(read_list(contents.tree, file)) == lists[part].count for part, file in files.items()
        ):
            del splits[found[tuple(files.values())]]
            splits[name] = files
    return splits


def read_list(tree: Tree, file: str) -> list[str]:
    """Read the ids of a list, see `parse_list`.

    Raises:
        DataError: unreadable, or not UTF-8 text.
    """
    try:
        text = tree.read_text(file)
    except DataError as error:
        raise DataError(f"{tree.root / file}: {error}; a list has one id a line") from error
    return parse_list(text)


def parse_list(text: str) -> list[str]:
    """The ids of a list: one a line, any newline, blanks stripped, empty lines dropped."""
    return [name for line in text.splitlines() if (name := line.strip())]


def resolve(contents: Contents, lists: Mapping[str, Sequence[str]]) -> Listing:
    """The images that lists name.

    A line is an id, `sequence/frame`, the name of a whole sequence, or the image's path in the
    folder, with or without its suffix.

    Names are only looked up among the images of the folder, so none can lead out of it.

    Args:
        contents: the folder.
        lists: files of each part; an earlier part keeps an image that a later one lists again.

    Raises:
        DataError: a list cannot be read.
    """
    names = _names(contents)
    known = _known(contents.found)
    sequential = any(entry.sequence is not None for entry in contents.entries.values())
    kept: dict[str, Listed] = {}
    repeated, missing = [], []
    for part, file in ((part, file) for part, files in lists.items() for file in files):
        for name in read_list(contents.tree, file):
            key = normal(name.removeprefix("/") if sequential else name)
            entries = names.get(key)
            if entries is None:
                fault = known.get(key) or known.get(key.replace("/", "_") if sequential else key)
                missing.append(fault or Fault(name, file, _absent(name, part, sequential)))
            for entry in entries or ():
                if entry.id in kept:
                    reason = f"listed again for {part}; it is kept for {kept[entry.id].split}"
                    repeated.append(Fault(entry.id, file, reason))
                else:
                    kept[entry.id] = Listed(entry, part)
    return Listing(tuple(kept.values()), tuple(repeated), tuple(missing))


def digest(ids: Iterable[str]) -> str:
    """Name of a set of images: the SHA-256 of its sorted ids, one a line, in hexadecimal.

    Lists of one name differ between copies; equal digests mean equal images in any order.
    """
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def choose(items: Sequence[Listed], limit: int | None, seed: int) -> list[Listed]:
    """Choose images by a seed, as many of each split as its share of the whole.

    Every split keeps at least one, if `limit` allows (Adams's method of apportionment). Sequences
    are taken whole; of the last one of a split, the first frames that there is room for.

    Args:
        items: images of a split.
        limit: number of images to choose; None for all.
        seed: of the choice.

    Returns:
        The chosen ones in their order.
    """
    if limit is None or limit >= len(items):
        return list(items)
    random = np.random.default_rng(seed)
    chosen: set[str] = set()
    for split, share in _shares(Counter(item.split for item in items), limit).items():
        units = _units(item for item in items if item.split == split)
        order = random.choice(len(units), min(share, len(units)), replace=False)
        chosen |= set([item.id for place in order for item in units[place]][:share])
    return [item for item in items if item.id in chosen]


def _units(items: Iterable[Listed]) -> list[list[Listed]]:
    """What stays together: the frames of each sequence, in their order, and single images."""
    units: dict[tuple[bool, str], list[Listed]] = defaultdict(list)
    for item in items:
        sequence = item.entry.sequence
        units[sequence is None, item.id if sequence is None else sequence].append(item)
    return [sorted(unit, key=lambda item: item.entry.frame or 0) for unit in units.values()]


def _shares(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Divide `limit`: each next place goes to the split that has the smallest part of its own."""
    shares = dict.fromkeys(sorted(counts), 0)
    for _ in range(limit):
        shares[min(shares, key=lambda name: shares[name] / counts[name])] += 1
    return shares


def _names(contents: Contents) -> dict[str, list[Entry]]:
    """The images behind each name that a list may use."""
    names: dict[str, list[Entry]] = defaultdict(list)
    paths: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(contents.entries.values(), key=lambda entry: (entry.frame or 0, entry.id)):
        names[entry.name].append(entry)
        if entry.sequence is not None:
            names[entry.sequence].append(entry)
        for path in _paths(entry.image):
            paths[path].append(entry)
    return paths | names


def _known(found: Found) -> dict[str, Fault]:
    """What is wrong with images that lists may name, by the same names."""
    by_id = {fault.id: fault for fault in (*found.absent, *found.faults)}
    files = {fault.file: fault.id for fault in found.absent} | dict(found.images)
    paths = {
        path: by_id[name] for file, name in files.items() if name in by_id for path in _paths(file)
    }
    return paths | by_id


def _paths(file: str) -> tuple[str, str]:
    """A file's path in lists: with its suffix, and without."""
    path = normal(file)
    return path, re.sub(r"\.[^./]*$", "", path)


def _absent(name: str, part: str, sequential: bool) -> str:
    if not sequential and ("/" in name or "\\" in name or name in (".", "..") or "\0" in name):
        return (
            f"listed for {part}, expected an id that is a plain file name; ids with separators "
            "or '..' could point out of the data set's folder"
        )
    return f"listed for {part}, but it has no image and no mask"


def _check_other_split(
    source: Source, split: str, files: Mapping[str, str], counts: Mapping[str, int]
) -> None:
    """Refuse lists whose names serve several splits, if the counts say that they are another's.

    Raises:
        DataError: they do.
    """
    for other, lists in source.splits.items():
        same_names = set(lists) == set(files) and all(
            file in lists[part].files for part, file in files.items()
        )
        if other != split and same_names:
            stated = {part: lists[part].count for part in lists}
            if stated == dict(counts):
                raise DataError(
                    f"{', '.join(files.values())}: expected the lists of the split {split!r}, got "
                    f"the counts of {other!r} ({counts['train']} / {counts['test']}); set "
                    f"data.split to {other!r}, or bring the other lists"
                )


def _by_folder(contents: Contents) -> tuple[dict[str, str], Listing]:
    """The parts that folders state, or the only lists there are.

    Raises:
        DataError: neither says which image belongs where.
    """
    stated = [entry for entry in contents.entries.values() if entry.part is not None]
    if not stated and contents.layout == "field":
        return {}, Listing(tuple(Listed(entry, "test") for entry in contents.entries.values()))
    if stated:
        order = {part: rank for rank, part in enumerate(TEST_FIRST)}
        items = [Listed(entry, str(entry.part)) for entry in stated]
        return {}, Listing(tuple(sorted(items, key=lambda item: (order[item.split], item.id))))
    groups = find_groups(contents)
    if len(groups) != 1:
        raise DataError(
            f"{contents.tree.root}: expected folders train/ and test/, or the lists of one split, "
            f"found {len(groups)} splits ({', '.join(sorted(groups)) or 'no list'}); keep one, or "
            "set data.split to 'seeded'"
        )
    files = split_parts(next(iter(groups.values())))
    return files, resolve(contents, {part: (file,) for part, file in files.items()})


def find_groups(contents: Contents) -> dict[str, dict[str, str]]:
    """Text files that list parts of a split: `{}` in their path stands for train, val, test, ..."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    pattern = r"(?P<head>(?:[^/]+/)?(?:[^/]*[_-])?)(?P<part>trainvaltest|trainval|train|val|test)"
    matches = contents.tree.matching(rf"{pattern}(?P<tail>(?:_[^/]*)?\.txt)")
    for match in matches if contents.has_lists else ():
        groups[f"{match['head']}{{}}{match['tail']}"][match["part"]] = match.string
    return _joined(groups)


def _joined(groups: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Join the parts of one split whose names state different counts: `x_213_train`, `x_214_test`.

    Two whole splits whose names differ in a number stay apart.
    """
    by_words: dict[str, list[str]] = defaultdict(list)
    for name in groups:
        by_words[re.sub(r"\d+", "#", name)].append(name)
    joined: dict[str, dict[str, str]] = {}
    for words, names in by_words.items():
        parts = [part for name in names for part in groups[name]]
        if len(names) > 1 and len(parts) == len(set(parts)):
            joined[words] = {part: file for name in names for part, file in groups[name].items()}
        else:
            joined |= {name: dict(groups[name]) for name in names}
    return joined


def split_parts(files: Mapping[str, str]) -> dict[str, str]:
    """The lists that divide the images, the test part first; `trainval` only without `train`."""
    named = {**files, "train": files.get("train", files.get("trainval", ""))}
    return {part: named[part] for part in TEST_FIRST if named.get(part)}


def _seeded(contents: Contents, fraction: float, seed: int) -> Listing:
    items = tuple(Listed(entry, "train") for entry in contents.entries.values())
    return Listing(_hold_out(items, {"val": fraction, "test": fraction}, seed))


def _hold_out(
    items: tuple[Listed, ...], fractions: Mapping[str, float], seed: int
) -> tuple[Listed, ...]:
    """Move shares of the training part to others; independent of the order, sequences whole."""
    units = sorted({item.entry.sequence or item.id for item in items if item.split == "train"})
    shuffled = np.random.default_rng(seed).permutation(units).tolist()
    parts: dict[str, str] = {}
    for part, fraction in fractions.items():
        count = round(fraction * len(units))
        if not 0 < count < len(units) - len(parts):
            raise DataError(
                f"data.val_fraction {fraction} of {len(units)} training images or sequences gives "
                f"{count} for {part} and leaves {len(units) - len(parts) - count} for training; "
                "both must be positive"
            )
        parts |= dict.fromkeys(shuffled[len(parts) : len(parts) + count], part)
    return tuple(
        Listed(item.entry, parts.get(item.entry.sequence or item.id, "train"))
        if item.split == "train"
        else item
        for item in items
    )
