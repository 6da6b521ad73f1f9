"""The files of a folder that somebody else has filled: what can be read safely, and what cannot."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from irstd.errors import DataError

MAX_FILE_BYTES = 1 << 27
"""Largest file that is read into memory: 128 MiB."""

MAX_TEXT_BYTES = 1 << 24
"""The same for lists and annotations, which take many times their size when parsed: 16 MiB."""


@dataclass(frozen=True)
class Tree:
    """Every file below a folder, looked at without opening any.

    Attributes:
        root: the folder, resolved.
        files: paths relative to it with `/`, sorted; the unreadable ones included, hidden ones not.
        unreadable: why some of them must not be opened: links that leave the folder or lead
            nowhere, links to folders, and whatever is no regular file.
    """

    root: Path
    files: tuple[str, ...]
    unreadable: Mapping[str, str]

    def only_folder(self) -> "Tree | None":
        """The folder that is the only entry of this one, hidden ones aside; None if there is none.

        It has what is listed here of it.
        """
        entries = [path for path in self.root.iterdir() if not path.name.startswith(".")]
        if len(entries) != 1 or entries[0].is_symlink() or not entries[0].is_dir():
            return None
        head = f"{_printable(entries[0].name)}/"
        inside = [file for file in self.files if file.startswith(head)]
        refused = {
            file.removeprefix(head): reason
            for file, reason in self.unreadable.items()
            if file.startswith(head)
        }
        return Tree(entries[0], tuple(file.removeprefix(head) for file in inside), refused)

    def matching(self, pattern: str) -> list[re.Match[str]]:
        """Full matches of a regular expression among the relative paths."""
        compiled = re.compile(pattern)
        return [match for file in self.files if (match := compiled.fullmatch(file))]

    def read_text(self, file: str) -> str:
        """Content of a text file.

        Raises:
            DataError: as `read`, larger than `MAX_TEXT_BYTES`, or not UTF-8.
        """
        try:
            return self.read(file, MAX_TEXT_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"expected a text file in UTF-8: {error}") from error

    def read(self, file: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """Content of a file.

        Raises:
            DataError: it is missing, unreadable or larger than `limit` bytes.
        """
        if file in self.unreadable:
            raise DataError(self.unreadable[file])
        path = self.root / file
        try:
            size = path.stat().st_size
            if size > limit:
                raise DataError(f"expected at most {limit} bytes, got {size}; split the file")
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}") from error


def scan(folder: Path) -> Tree:
    """List a folder at any depth; links to folders are not followed, so it always ends.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected the folder of a data set, found no folder there")
    root = folder.resolve()
    files: list[str] = []
    unreadable: dict[str, str] = {}
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(root / parent) as entries:
                listed = list(entries)
        except OSError as error:
            unreadable[parent.rstrip("/")] = f"the folder cannot be read: {error.strerror}"
            continue
        for entry in listed:
            name = parent + _printable(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith("."):
                    waiting.append(f"{name}/")
                continue
            reason = _refusal(entry, root)
            if reason:
                unreadable[name] = reason
            elif entry.name.startswith("."):
                continue
            files.append(name)
    return Tree(root, tuple(sorted(files)), unreadable)


def _printable(name: str) -> str:
    """A name that can be written as UTF-8; bytes that are not are shown as such."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _refusal(entry: os.DirEntry[str], root: Path) -> str:
    """Why an entry that is no folder must not be opened; empty if it may be."""
    if _printable(entry.name) != entry.name:
        return "expected a name in UTF-8; rename the file"
    if entry.is_symlink():
        try:
            target = Path(os.path.realpath(entry.path, strict=True))
        except OSError as error:
            return f"expected a file of the data set, found a link to nothing: {error.strerror}"
        if not target.is_relative_to(root):
            return "expected a file of the data set, found a link that leads out of the folder"
        if target.is_dir():
            return "expected a file of the data set, found a link to a folder; put its files there"
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return f"the file cannot be looked at: {error.strerror}"
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    if stat.S_ISREG(mode):
        return ""
    return f"expected a regular file, found a {kinds.get(stat.S_IFMT(mode), 'device')}"
