"""Split lists: which images of a source belong to which part."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from irstd.data.sources import Fault, Source, SplitList
from irstd.errors import DataError


@dataclass(frozen=True)
class Listed:
    """One id of a split list."""

    id: str
    split: str


@dataclass(frozen=True)
class Listing:
    """A split as read.

    Attributes:
        items: each id once: the test part first, then val, then train.
        faults: ids that were listed more than once; the later listing is dropped, so that no test
            image stays in another part.
        differences: how the lists differ from the published counts, in words.
    """

    items: tuple[Listed, ...]
    faults: tuple[Fault, ...]
    differences: tuple[str, ...]


def read_split(folder: Path, source: Source, split: str, val_fraction: float, seed: int) -> Listing:
    """Read the lists of one split of a source.

    A split without a published validation list gives `val_fraction` of its training list to `val`,
    chosen by `seed`; the test list is never touched.

    Args:
        folder: where the source's files stand.
        source: its layout.
        split: one of `source.splits`.
        val_fraction: share of the training list, in [0, 1]; unused where `val` is published.
        seed: of the choice.

    Raises:
        DataError: a list is missing or unreadable, or an id points out of the folder.
    """
    lists = source.splits[split]
    files = {
        part: find_list(folder, lists[part]) for part in ("test", "val", "train") if part in lists
    }
    ids = {part: read_list(file) for part, file in files.items()}
    differences = tuple(
        f"{files[part].relative_to(folder).as_posix()}: {len(ids[part])} ids listed, "
        f"{lists[part].count} published"
        for part in ids
        if len(ids[part]) != lists[part].count
    )
    items, faults = _unique(folder, files, ids)
    if "val" not in ids:
        items = _hold_out(items, val_fraction, seed)
    return Listing(items, faults, differences)


def find_list(folder: Path, published: SplitList) -> Path:
    """Find a list file.

    Raises:
        DataError: none or several of its places are taken.
    """
    found = [folder / file for file in published.files if (folder / file).is_file()]
    if not found:
        raise DataError(
            f"{folder}: expected the split list {' or '.join(published.files)}, found neither; "
            "add it, or choose another data.split"
        )
    if len(found) > 1:
        raise DataError(
            f"{folder}: found the same split list twice: {', '.join(published.files)}; keep one"
        )
    return found[0]


def read_list(file: Path, plain: bool = True) -> list[str]:
    """Read the ids of a list: one a line, any newline, blanks stripped, empty lines dropped.

    Args:
        file: the list.
        plain: whether paths are made of the ids, so that each must be a plain file name.

    Raises:
        DataError: not UTF-8 text, or an id is not a plain file name.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{file}: expected a text file with one id a line: {error}") from error
    ids = []
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if name:
            if plain:
                _check_id(name, f"{file}: line {number}")
            ids.append(name)
    return ids


def choose(splits: Sequence[str], limit: int | None, seed: int) -> list[int]:
    """Choose positions by a seed, as many of each split as its share of the whole.

    Every split keeps at least one, if `limit` allows (Adams's method of apportionment).

    Args:
        splits: the split of each item.
        limit: number of items to choose; None for all.
        seed: of the choice.

    Returns:
        Positions in ascending order.
    """
    if limit is None or limit >= len(splits):
        return list(range(len(splits)))
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    for split, share in _shares(Counter(splits), limit).items():
        positions = np.array([place for place, name in enumerate(splits) if name == split])
        chosen += random.choice(positions, share, replace=False).tolist()
    return sorted(chosen)


def _shares(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Divide `limit`: each next place goes to the split that has the smallest part of its own."""
    shares = dict.fromkeys(sorted(counts), 0)
    for _ in range(limit):
        shares[min(shares, key=lambda name: shares[name] / counts[name])] += 1
    return shares


def _check_id(name: str, where: str) -> None:
    plain = PurePosixPath(name).name == name and PureWindowsPath(name).name == name
    if not plain or name in (".", "..") or "\0" in name:
        raise DataError(
            f"{where}: expected an id that is a plain file name, got {name!r}; "
            "ids with separators or '..' could point out of the data set's folder"
        )


def _unique(
    folder: Path, files: Mapping[str, Path], ids: Mapping[str, list[str]]
) -> tuple[tuple[Listed, ...], tuple[Fault, ...]]:
    kept: dict[str, Listed] = {}
    faults = []
    for part, names in ids.items():
        for name in names:
            if name in kept:
                where = files[part].relative_to(folder).as_posix()
                reason = f"listed again for {part}; it is kept for {kept[name].split}"
                faults.append(Fault(name, where, reason))
            else:
                kept[name] = Listed(name, part)
    return tuple(kept.values()), tuple(faults)


def _hold_out(items: tuple[Listed, ...], fraction: float, seed: int) -> tuple[Listed, ...]:
    """Move a share of the training part to `val`; independent of the order of the list."""
    train = sorted(item.id for item in items if item.split == "train")
    count = round(fraction * len(train))
    if not 0 < count < len(train):
        raise DataError(
            f"data.val_fraction {fraction} of {len(train)} training images gives {count} for "
            f"validation and {len(train) - count} for training; both must be positive"
        )
    held = set(np.random.default_rng(seed).permutation(train)[:count].tolist())
    return tuple(Listed(item.id, "val") if item.id in held else item for item in items)
