import stat
import zipfile
from pathlib import Path

import pytest

from irstd.data import archives
from irstd.data.archives import archive_faults, unpack
from irstd.errors import DataError


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("prefix", ["", "masks/"])
def test_members_land_in_the_folder_of_the_archive_s_name(tmp_path: Path, prefix: str) -> None:
    members = {f"{prefix}a.png": b"1", f"{prefix}b c.png": b"2", "__MACOSX/._a.png": b"x"}
    unpack(write_zip(tmp_path / "masks.zip", members), tmp_path / "new")
    files = {path.name: path.read_bytes() for path in (tmp_path / "new").rglob("*.png")}
    assert files == {"a.png": b"1", "b c.png": b"2"}
    assert {path.parent.name for path in (tmp_path / "new").rglob("*.png")} == {"masks"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "C:/x", "a\\..\\..\\x", "\\x"])
def test_paths_that_escape_are_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    path = write_zip(tmp_path / "a.zip", {"good": b"", name: b"x"})
    with pytest.raises(DataError, match=r"a\.zip: expected paths inside the folder"):
        unpack(path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="got a link or a device: 'link'"):
        unpack(tmp_path / "a.zip", tmp_path / "new")


def test_bombs_are_refused_by_what_they_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"a": bytes(2_000_000)})
    assert archive_faults(path, "bomb.zip") == []  # below what is free
    monkeypatch.setattr(archives, "FREE_BYTES", 1_000_000)
    (fault,) = archive_faults(path, "bomb.zip")
    assert "a bomb" in fault.reason
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    monkeypatch.setattr(archives, "FREE_BYTES", 1 << 26)
    many = write_zip(tmp_path / "many.zip", {"a": b"", "b": b""})
    assert "in 2: a bomb" in archive_faults(many, "many.zip")[0].reason


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 50})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="expected a zip archive"):
        unpack(path, tmp_path / "new")
    path.write_bytes(content[:60] + b"\0\0\0\0" + content[64:])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(path, tmp_path / "new")


def test_the_list_of_members_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": b"", "b": b""})
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 50)
    (fault,) = archive_faults(path, "a.zip")
    assert "unpack it by hand" in fault.reason
