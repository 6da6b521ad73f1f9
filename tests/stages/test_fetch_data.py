import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from irstd.errors import DataError
from irstd.stages.fetch_data import fetch_data
from tests.sirst_layout import write_sirst

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    return write_sirst(folder, "Misc")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def pack(folder: Path, name: str, prefix: str) -> None:
    """Replace a folder by an archive of it, as the repository of SIRST does today."""
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for file in sorted((folder / name).iterdir()):
            archive.write(file, f"{prefix}{file.name}")
    shutil.rmtree(folder / name)


def commit(folder: Path) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "-m", "data"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder.as_uri()


@pytest.mark.parametrize("form", ["folders", "archives", "flat archives"])
def test_both_forms_of_the_repository(published: Path, root: Path, form: str) -> None:
    expected = {path.name: path.read_bytes() for path in published.rglob("*.png")}
    if form != "folders":
        for name in ("images", "masks"):
            pack(published, name, f"{name}/" if form == "archives" else "")
    target = fetch_data(root, "sirst", commit(published))
    assert target == root / "data" / "raw" / "sirst"
    assert {path.name: path.read_bytes() for path in target.rglob("*.png")} == expected
    assert sorted(path.name for path in target.iterdir()) == ["images", "masks", "splits"]


def test_an_archive_that_escapes_changes_nothing(published: Path, root: Path) -> None:
    with zipfile.ZipFile(published / "more.zip", "w") as archive:
        archive.writestr("../escaped.png", b"x")
    with pytest.raises(DataError, match=r"more\.zip: expected paths inside the folder"):
        fetch_data(root, "sirst", commit(published))
    assert list(root.iterdir()) == []


def test_an_archive_is_not_unpacked_through_a_link(
    published: Path, root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (published / "extra").symlink_to(elsewhere)
    with zipfile.ZipFile(published / "extra.zip", "w") as archive:
        archive.writestr("extra/owned.txt", b"x")
    with pytest.raises(DataError):
        fetch_data(root, "sirst", commit(published))
    assert list(elsewhere.iterdir()) == []
    assert list(root.iterdir()) == []


def test_what_cannot_be_cloned_says_why(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"could not be cloned:\n.*nowhere"):
        fetch_data(root, "sirst", (tmp_path / "nowhere").as_uri())
    with pytest.raises(DataError, match="irstd_1k is not published in a git repository; get it"):
        fetch_data(root, "irstd_1k")
