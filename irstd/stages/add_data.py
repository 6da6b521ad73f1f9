"""`irstd data add`: take a published data set, as its authors distribute it, into the project."""

import filecmp
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from irstd.data.listing import find_list, read_list
from irstd.data.sources import Source, find_source
from irstd.errors import DataError
from irstd.files import replaced_folder

SHOWN = 20
"""Missing files named in one message."""

log = logging.getLogger(__name__)


def add_data(root: Path, name: str, source: Path) -> Path:
    """Copy a data set to `data/raw/<name>` and track it with DVC, where the project uses DVC.

    Only the folders that the layout names (images, masks, lists) are copied. Nothing is written if
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
    layout = find_source(name)
    folder = source.resolve()
    if not folder.is_dir():
        raise DataError(f"{source}: expected the folder of {layout.title}, found no folder there")
    check_layout(folder, layout)
    files = sorted(_files(folder, layout))
    target = root / "data" / "raw" / name
    if os.path.lexists(target):
        _check_identical(folder, files, target, layout)
        log.info("%s: already there, with the same %d files", target, len(files))
    else:
        _copy(folder, files, target)
        log.info("%s: %d files copied", target, len(files))
    _track(root, target)
    return target


def check_layout(folder: Path, layout: Source) -> None:
    """Check that a folder holds a full split, and an image and a mask for every id of each.

    Sizes and contents are not looked at: `irstd prepare` handles faulty images by its policy.

    Raises:
        DataError: what was looked for and what was found.
    """
    complete = [
        split
        for split, lists in layout.splits.items()
        if all(any((folder / file).is_file() for file in part.files) for part in lists.values())
    ]
    folders = {PurePosixPath(path).parts[0] for path in (layout.image, layout.mask)}
    if not complete or not all((folder / part).is_dir() for part in folders):
        example = next(iter(layout.splits.values()))
        places = ", ".join(part.files[0] for part in example.values())
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:SHOWN]) or "nothing"
        raise DataError(
            f"{folder}: expected {layout.image}, {layout.mask} and the lists of a split "
            f"(such as {places}), found: {found}; give the folder that holds them"
        )
    ids = {
        name
        for split in complete
        for part in layout.splits[split].values()
        for name in read_list(find_list(folder, part))
    }
    expected = [
        pattern.format(id=name) for name in sorted(ids) for pattern in (layout.image, layout.mask)
    ]
    missing = [file for file in expected if not (folder / file).is_file()]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise DataError(
            f"{folder}: expected an image and a mask for each of {len(ids)} listed ids, "
            f"missing: {', '.join(missing[:SHOWN])}{more}; unpack the data set again"
        )


def _files(folder: Path, layout: Source) -> Iterator[PurePosixPath]:
    """Files to copy, relative to the folder.

    Raises:
        DataError: a link points out of the folder or to a folder, or a file is not a regular one.
    """
    for part in layout.folders:
        _check_link(folder, folder / part)
        for parent, folders, names in os.walk(folder / part):
            for path in (Path(parent, name) for name in [*folders, *names]):
                _check_link(folder, path)
                if path.is_file():
                    yield PurePosixPath(path.relative_to(folder).as_posix())
                elif not path.is_dir():
                    raise DataError(
                        f"{path}: expected a regular file; remove it and add the data again"
                    )


def _check_link(folder: Path, path: Path) -> None:
    if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(folder)):
        raise DataError(
            f"{path}: expected a file of the data set, found a link to {path.resolve()}; "
            "replace it by what it points to, then add the data again"
        )


def _check_identical(
    folder: Path, files: list[PurePosixPath], target: Path, layout: Source
) -> None:
    present = sorted(_files(target.resolve(), layout))
    differing = sorted({*present} ^ {*files}) or [
        file for file in files if not filecmp.cmp(folder / file, target / file, shallow=False)
    ]
    if differing:
        raise DataError(
            f"{target}: other data is already there ({len(differing)} files differ from {folder}, "
            f"first {differing[0]}); it is not overwritten; move it away, then add the data again"
        )


def _copy(folder: Path, files: list[PurePosixPath], target: Path) -> None:
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
