"""`irstd data add`: take a published data set, as its authors distribute it, into the project."""

import filecmp
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from irstd.data.background_list import BACKGROUNDS_FILE
from irstd.data.check import stated_size
from irstd.data.entries import Contents
from irstd.data.layouts import open_contents, read_contents
from irstd.data.listing import find_groups, published_lists, resolve
from irstd.data.sources import Source, find_source
from irstd.data.tree import Tree, scan
from irstd.errors import DataError
from irstd.files import replaced_folder

SHOWN = 20
"""Missing files named in one message."""

log = logging.getLogger(__name__)


def add_data(root: Path, name: str, source: Path) -> Path:
    """Copy a data set to `data/raw/<name>` and track it with DVC, where the project uses DVC.

    Only the folders that hold images, ground truth and lists are copied. Nothing is written if
    a check fails; adding the same files again changes nothing.

    Args:
        root: the project's folder.
        name: a key of `irstd.data.sources.SOURCES`.
        source: the folder as published.

    Returns:
        The folder in the project.

    Raises:
        DataError: unknown name, another layout, a listed image or mask is missing, a link points
            out of the folder, other data is already there, or DVC fails.
    """
    facts = find_source(name)
    if not source.is_dir():
        raise DataError(f"{source}: expected the folder of {facts.title}, found no folder there")
    contents = read_contents(_safe_tree(source))
    check_identity(contents, facts)
    check_layout(contents, facts)
    files, folder = _used(contents, facts), contents.tree.root
    target = root / "data" / "raw" / name
    if os.path.lexists(target):
        _check_identical(folder, files, target, facts)
        log.info("%s: already there, with the same %d files", target, len(files))
    else:
        _copy(folder, files, target)
        log.info("%s: %d files copied", target, len(files))
    _track(root, target)
    return target


def check_identity(contents: Contents, source: Source) -> None:
    """Check that a folder can be the data set: its layout, its ids, and the size of an image.

    Raises:
        DataError: what is published and what was found.
    """
    folder = contents.tree.root
    if source.layouts and contents.layout not in source.layouts:
        raise DataError(
            f"{folder}: expected {source.title} in one of the layouts {'; '.join(source.layouts)}, "
            f"found {contents.layout}; give its folder, or add this one as 'folder'"
        )
    pattern = re.compile(source.id_pattern or ".*", re.DOTALL)
    strange = [name for name in contents.entries if not pattern.fullmatch(name)]
    if strange:
        raise DataError(
            f"{folder}: expected the ids of {source.title}, {pattern.pattern}, found "
            f"{len(strange)} others, first {strange[0]!r}; give its folder, or add this one as "
            "'folder'"
        )
    size = stated_size(contents) if source.size else None
    if size != source.size:
        found = "no image whose header can be read" if size is None else f"{size[0]} x {size[1]}"
        raise DataError(
            f"{folder}: expected images of {source.title}, all of the size "
            f"{' x '.join(map(str, source.size or ()))}, found {found}; give its folder, or add "
            "this one as 'folder'"
        )


def check_layout(contents: Contents, source: Source) -> None:
    """Check that a folder holds a full split, and an image and its ground truth for every id of it.

    Contents are not looked at: `irstd prepare` handles faulty images by its policy.

    Raises:
        DataError: what was looked for and what was found.
    """
    folder = contents.tree.root
    complete = published_lists(contents, source)
    by_folder = any(
        not any(part.files for part in split.values()) for split in source.splits.values()
    )
    if not complete and not by_folder:
        places = "; ".join(
            ", ".join(part.files[0] for part in split.values()) for split in source.splits.values()
        )
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:SHOWN]) or "nothing"
        raise DataError(
            f"{folder}: expected the lists of a split (such as {places}), found: {found}; give the "
            "folder that holds them"
        )
    listings = [
        resolve(contents, {part: (file,) for part, file in files.items()})
        for files in complete.values()
    ]
    missing = sorted({(fault.id, fault.reason) for split in listings for fault in split.missing})
    if missing or not contents.entries:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        shown = "; ".join(f"{name}: {reason}" for name, reason in missing[:SHOWN])
        raise DataError(
            f"{folder}: expected an image and its ground truth for each listed id, missing for "
            f"{len(missing)}: {shown}{more}; unpack the data set again"
        )


def _safe_tree(folder: Path) -> Tree:
    """List a folder that holds nothing but regular files.

    Raises:
        DataError: names the first that is none.
    """
    tree = scan(folder)
    for file, reason in tree.unreadable.items():
        raise DataError(f"{tree.root / file}: {reason}; correct it, then add the data again")
    return tree


def _used(contents: Contents, source: Source) -> list[str]:
    """Files below the folders that hold images, ground truth and lists, relative to the root."""
    entries, tree = contents.entries.values(), contents.tree
    if any(entry.marks for entry in entries):
        return list(tree.files)
    lists = {
        file for split in source.splits.values() for part in split.values() for file in part.files
    }
    lists |= {file for files in find_groups(contents).values() for file in files.values()}
    used = {entry.image for entry in entries} | {entry.mask or entry.image for entry in entries}
    tops = {file.partition("/")[0] for file in (*used, *lists, BACKGROUNDS_FILE)}
    return [file for file in tree.files if file.partition("/")[0] in tops]


def _check_identical(folder: Path, files: list[str], target: Path, source: Source) -> None:
    present = _used(open_contents(target), source)
    differing = sorted({*present} ^ {*files}) or [
        file for file in files if not filecmp.cmp(folder / file, target / file, shallow=False)
    ]
    if differing:
        raise DataError(
            f"{target}: other data is already there ({len(differing)} files differ from {folder}, "
            f"first {differing[0]}); it is not overwritten; move it away, then add the data again"
        )


def _copy(folder: Path, files: list[str], target: Path) -> None:
    try:
        with replaced_folder(target) as new:
            for file in tqdm(files, desc=f"copy {target.name}", unit="file"):
                (new / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / file, new / file)
    except OSError as error:
        raise DataError(f"{target}: the data could not be copied: {error}") from error


def _track(root: Path, target: Path) -> None:
    """Hand the folder to DVC, where the project has one."""
    if not (root / ".dvc").is_dir() or importlib.util.find_spec("dvc") is None:
        log.warning(
            "%s: not tracked, because this project has no DVC (no .dvc, or not installed)", target
        )
        return
    path = target.relative_to(root).as_posix()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", "--quiet", path],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DataError(
            f"{target}: copied, but `dvc add {path}` failed:\n{done.stderr.strip()}\nrun it by hand"
        )
    log.info("%s: tracked by DVC; commit %s.dvc", target, path)
