"""Result files, written whole or not at all."""

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from irstd.errors import DataError


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Fill a new folder beside `folder` and put it in its place at the end.

    If the block fails, the new folder is removed and the old one stays as it was.

    Args:
        folder: the folder to replace; it need not exist.

    Yields:
        The empty folder to write to.
    """
    new, old = (folder.with_name(f"{folder.name}.{suffix}") for suffix in ("new", "old"))
    for rest in (new, old):
        shutil.rmtree(rest, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON; equal content gives equal bytes, and NaN (undefined) becomes null."""
    write_text(path, json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")


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
