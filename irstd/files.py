"""Files and folders written whole or not at all: under a temporary name, then renamed."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from irstd.errors import DataError


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
    """Fill a new folder beside `folder` and put it in its place at the end.

    If the block fails, the new folder is removed and the old one stays as it was.

    Args:
        folder: the folder to replace; it need not exist.

    Yields:
        The empty folder to write to.

    Raises:
        DataError: it cannot be made.
    """
    new, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("new", "old"))
    for rest in (new, old):
        shutil.rmtree(rest, ignore_errors=True)
    try:
        new.mkdir(parents=True)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made: {error.strerror}; choose another, or correct permissions"
        ) from error
    try:
        yield new
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


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
    except ValueError as error:
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
