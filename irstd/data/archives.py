"""Zip archives that somebody else has made: checked before anything is written."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from irstd.data.entries import stem_of
from irstd.data.sources import Fault
from irstd.errors import DataError

MAX_BYTES = 1 << 33
"""Most bytes that an archive may hold unpacked: 8 GiB."""

MAX_RATIO = 100
"""Most bytes per packed byte beyond `FREE_BYTES`: images are packed already, masks reach 50."""

FREE_BYTES = 1 << 26
MAX_MEMBERS = 60_000

END, ZIP64 = b"PK\x05\x06", b"PK\x06\x07"
END_BYTES = 22 + 65_535
"""Length of the end record with the longest comment (APPNOTE 6.3.10, section 4.3.16)."""

MAX_DIRECTORY_BYTES = 1 << 24
"""Largest list of members that is read."""


def archive_faults(path: Path, file: str) -> list[Fault]:
    """What makes an archive unsafe to unpack; nothing is unpacked.

    Args:
        path: the archive.
        file: its name in messages.
    """
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            reasons = _reasons(archive.infolist(), path.stat().st_size)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        reasons = [f"expected a zip archive: {error}"]
    return [Fault(stem_of(file), file, reason) for reason in reasons]


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive into a folder: below itself if its members are not in a folder of its name.

    `masks.zip` with members `masks/x.png` or `x.png` gives `masks/x.png` either way.

    Raises:
        DataError: it is damaged, or not safe to unpack.
    """
    faults = archive_faults(path, path.name)
    if faults:
        raise DataError(f"{path}: {'; '.join(fault.reason for fault in faults)}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in archive.infolist()
                if not member.is_dir() and not member.filename.startswith("__MACOSX/")
            ]
            inside = all(member.filename.startswith(f"{path.stem}/") for member in members)
            archive.extractall(folder if inside else folder / path.stem, members)
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise DataError(f"{path}: cannot be unpacked: {error}; get it again") from error


def _check_directory(path: Path) -> None:
    """Refuse an archive whose list of members alone would fill the memory.

    Raises:
        ValueError: it would, or the archive is of the 64-bit kind.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        tail = file.read(END_BYTES)
    start = tail.rfind(END)
    size = int.from_bytes(tail[start + 12 : start + 16], "little") if start >= 0 else 0
    if ZIP64 in tail or size > MAX_DIRECTORY_BYTES:
        raise ValueError(f"more than {MAX_MEMBERS} members or 4 GiB; unpack it by hand")


def _reasons(members: list[zipfile.ZipInfo], packed: int) -> list[str]:
    reasons = [
        f"expected paths inside the folder, got {member.filename!r}"
        for member in members
        if _leaves(member.filename)
    ]
    reasons += [
        f"expected files and folders, got a link or a device: {member.filename!r}"
        for member in members
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR)
    ]
    reasons += [
        f"expected no password, got an encrypted member: {member.filename!r}"
        for member in members
        if member.flag_bits & 1
    ]
    size = sum(member.file_size for member in members)
    limit = min(MAX_BYTES, FREE_BYTES + MAX_RATIO * packed)
    if size > limit or len(members) > MAX_MEMBERS:
        reasons.append(
            f"expected at most {limit} bytes in {MAX_MEMBERS} members, it claims {size} in "
            f"{len(members)}: a bomb"
        )
    return reasons


def _leaves(name: str) -> bool:
    """Whether a member's path could lead out of the folder, on any system."""
    windows = PureWindowsPath(name)
    absolute = name.startswith(("/", "\\")) or bool(windows.drive)
    return absolute or ".." in PurePosixPath(name).parts or ".." in windows.parts
