"""Files and folders written whole or not at all: under a temporary name, then renamed."""

import errno
import fcntl
import glob
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from irstd.errors import DataError

NEW, OLD, SUPERSEDED, LOCK = "new", "old", "superseded", "lock"
"""In the hidden folder of `replaced_folder`: what is written, what it replaces, who works on it."""


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Write a new file beside `path` and put it in its place at the end.

    If the block fails, the new file is removed and the old one stays as it was.

    Args:
        path: the file to replace; it need not exist, its folder is made.

    Yields:
        The path to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Fill a new folder and put it in the place of `folder` at the end.

    If the block fails, the new folder is removed and the old one stays as it was. Each call works
    in a hidden folder of its own beside `folder`, so calls at the same time do not disturb each
    other; the last to end stays. What a killed call leaves is settled by `restore_folder`.

    Args:
        folder: the folder to replace; it need not exist. A link is followed.

    Yields:
        The empty folder to write to.

    Raises:
        DataError: it cannot be made.
    """
    folder = folder.resolve()
    restore_folder(folder)
    with _swap_space(folder) as space:
        new = space / NEW
        new.mkdir()
        yield new
        _put(new, folder, space / OLD)


def restore_folder(folder: Path) -> None:
    """Settle what killed calls of `replaced_folder` left behind, and nothing of living ones.

    A call that was killed between its two renames has moved the old folder aside: it comes back,
    unless another one stands in its place. Everything else of killed calls is removed.

    Args:
        folder: the folder to restore; it need not exist.
    """
    for space in list(folder.parent.glob(f"{glob.escape(_prefix(folder))}*")):
        # No lock yet, no lock any more, or a lock in use: a call that begins, ends, or lives.
        with suppress(OSError), (space / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _settle(space, folder)


def _prefix(folder: Path) -> str:
    return f".{folder.name}.swap-"


@contextmanager
def _swap_space(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder`, locked as long as this process lives or the block lasts."""
    try:
        if not folder.parent.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
        space = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
        lock = (space / "unlocked").open("w")
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made: {error.strerror}; choose another, or correct permissions"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.replace(space / "unlocked", space / LOCK)  # nobody finds it before it is locked
            yield space
        finally:
            _settle(space, folder)


def _put(new: Path, folder: Path, old: Path) -> None:
    """Rename `new` to `folder`; what stands there moves to `old`, again if another call is faster.

    A folder without files is replaced in one step; a full one takes two, with none in between.
    """
    while not _rename(new, folder):
        _discard(old)
        with suppress(FileNotFoundError):
            os.replace(folder, old)
    _discard(old)


def _rename(source: Path, folder: Path) -> bool:
    """Whether `source` could take the name `folder`; not if a folder with files has it."""
    try:
        os.replace(source, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _discard(old: Path) -> None:
    """Remove a superseded folder; from the first moment on nobody brings it back."""
    superseded = old.with_name(SUPERSEDED)
    with suppress(FileNotFoundError):
        os.replace(old, superseded)
    shutil.rmtree(superseded, ignore_errors=True)


def _settle(space: Path, folder: Path) -> None:
    """Bring the old folder back if none stands in its place; remove the rest, the lock last."""
    if (space / OLD).exists() and not folder.exists():
        _rename(space / OLD, folder)
    for part in (NEW, OLD, SUPERSEDED):
        shutil.rmtree(space / part, ignore_errors=True)
    shutil.rmtree(space, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON; equal content gives equal bytes, and NaN (undefined) becomes null."""
    text = json.dumps(_plain(content), indent=2, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    """Read a JSON object that a stage has written.

    Args:
        path: the file.
        made_by: the command that writes it, for messages.

    Raises:
        DataError: it is missing, damaged or no object.
    """
    if not path.is_file():
        raise DataError(f"{path}: not found; run `{made_by}` first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # too deeply nested
        raise DataError(f"{path}: not valid JSON ({error}); run `{made_by}` again") from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: expected a JSON object, got {type(content).__name__}; run `{made_by}` again"
        )
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
