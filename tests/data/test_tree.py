import os
import socket
from pathlib import Path

import pytest

from irstd.data.tree import MAX_FILE_BYTES, scan
from irstd.errors import DataError
from tests.folders import write_text


def test_files_are_listed_at_any_depth_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/c/d.txt", "a é.txt", ".hidden", "b/.git/x"):
        write_text(tmp_path / name, "x")
    tree = scan(tmp_path)
    assert tree.files == ("a é.txt", "b/c/d.txt")
    assert tree.unreadable == {}
    assert tree.read("b/c/d.txt") == b"x"


def test_a_single_folder_can_be_entered(tmp_path: Path) -> None:
    write_text(tmp_path / "outer" / "inner" / "a.txt", "x")
    write_text(tmp_path / "outer" / "inner" / "b" / "c.txt", "x")
    tree = scan(tmp_path).only_folder()
    assert tree is not None
    assert (tree.root, tree.files) == (tmp_path / "outer", ("inner/a.txt", "inner/b/c.txt"))
    tree = tree.only_folder()
    assert tree is not None
    assert (tree.root, tree.read("b/c.txt")) == (tmp_path / "outer" / "inner", b"x")
    assert tree.only_folder() is None


def test_links_that_lead_astray_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_text(folder / "images" / "a.txt", "inside")
    write_text(folder / "readme.txt", "")
    write_text(tmp_path / "secret", "outside")
    (folder / "images" / "good").symlink_to("a.txt")
    (folder / "images" / "out").symlink_to(tmp_path / "secret")
    (folder / "images" / "nothing").symlink_to("missing")
    (folder / "images" / "up").symlink_to("..")
    (folder / "images" / "self").symlink_to("self")
    tree = scan(folder)
    assert tree.read("images/good") == b"inside"
    reasons = dict(sorted(tree.unreadable.items()))
    assert list(reasons) == ["images/nothing", "images/out", "images/self", "images/up"]
    assert "a link to nothing: No such file" in reasons["images/nothing"]
    assert "a link that leads out of the folder" in reasons["images/out"]
    assert "Too many levels of symbolic links" in reasons["images/self"]
    assert "a link to a folder" in reasons["images/up"]
    with pytest.raises(DataError, match="leads out of the folder"):
        tree.read("images/out")


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x")
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
    assert scan(tmp_path).unreadable == {
        "pipe.png": "expected a regular file, found a pipe",
        "socket.png": "expected a regular file, found a socket",
    }


def test_names_that_are_no_text_are_shown_as_bytes(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    assert scan(tmp_path).unreadable == {
        "caf\\xe9.png": "expected a name in UTF-8; rename the file"
    }


def test_large_files_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="expected at most 134217728 bytes, got 134217729"):
        scan(tmp_path).read("large")
    with pytest.raises(DataError, match="expected at most 16777216 bytes"):
        scan(tmp_path).read_text("large")


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no folder there"):
        scan(tmp_path / "nowhere")
