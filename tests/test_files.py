import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from irstd.errors import DataError
from irstd.files import read_json, replaced, replaced_folder, restore_folder, write_json, write_text


def test_a_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    for content in (b"first", b"second"):
        with replaced(path) as temporary:
            temporary.write_bytes(content)
            assert path.exists() == (content == b"second")
    assert path.read_bytes() == b"second"
    assert [file.name for file in path.parent.iterdir()] == ["a.bin"]


def test_a_failure_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"good")

    def interrupted() -> None:
        with replaced(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(FileNotFoundError), replaced(path):
        pass  # nothing was written
    assert path.read_bytes() == b"good"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    for name in ("first", "second"):
        with replaced_folder(folder) as new:
            (new / name).touch()
    assert [path.name for path in folder.iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_keeps_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    with replaced_folder(folder) as new:
        (new / "good").touch()
    with pytest.raises(IsADirectoryError), replaced_folder(folder) as new:
        new.write_text("a folder cannot be written to")
    assert [path.name for path in folder.iterdir()] == ["good"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


KILLED = """
import os, sys
from pathlib import Path
from irstd.files import replaced_folder

rename, folder = os.replace, Path(sys.argv[1])

def killed(source, target):
    rename(source, target)
    if sys.argv[2] == "swapping" and Path(source) == folder:
        os._exit(9)

os.replace = killed
with replaced_folder(folder) as new:
    (new / "unfinished").touch()
    if sys.argv[2] == "writing":
        os._exit(9)
"""


def kill(folder: Path, moment: str) -> None:
    """Run a process that replaces a folder and dies without a chance to tidy up."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), moment], check=False)
    assert done.returncode == 9


def make(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_killed_while_it_writes_does_no_harm(tmp_path: Path) -> None:
    folder = make(tmp_path / "re[port]", "good")
    kill(folder, "writing")
    assert names(folder) == ["good"]
    assert len(names(tmp_path)) == 2
    with replaced_folder(folder) as new:
        assert names(new) == []
    assert names(tmp_path) == ["re[port]"]


def test_a_run_killed_while_it_swaps_loses_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path / "report", "good")
    kill(folder, "swapping")
    assert not folder.exists()
    with pytest.raises(IsADirectoryError), replaced_folder(folder) as new:
        new.write_text("a folder cannot be written to")
    assert names(folder) == ["good"]
    assert names(tmp_path) == ["report"]


def test_what_a_killed_run_moved_aside_never_replaces_a_newer_folder(tmp_path: Path) -> None:
    folder = make(tmp_path / "report", "old")
    kill(folder, "swapping")
    make(folder, "newer")
    restore_folder(folder)
    assert names(folder) == ["newer"]
    assert names(tmp_path) == ["report"]


def test_calls_at_the_same_time_leave_each_other_alone(tmp_path: Path) -> None:
    folder = make(tmp_path / "report", "old")
    with replaced_folder(folder) as first:
        (first / "first").touch()
        with replaced_folder(folder) as second:
            (second / "second").touch()
            restore_folder(folder)
        assert names(folder) == ["second"]
        assert names(first) == ["first"]
    assert names(folder) == ["first"]
    assert names(tmp_path) == ["report"]


def test_a_call_that_is_faster_between_the_renames_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "report", "old")
    rename = os.replace

    def raced(source: Path, target: Path) -> None:
        rename(source, target)
        if source == folder and (target / "old").exists():
            make(folder, "faster")

    monkeypatch.setattr("os.replace", raced)
    with replaced_folder(folder) as new:
        (new / "mine").touch()
    assert names(folder) == ["mine"]
    assert names(tmp_path) == ["report"]


def test_a_failed_swap_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "report", "good")
    rename = os.replace

    def failing(source: Path, target: Path) -> None:
        if source.name == "new" and not folder.exists():
            raise PermissionError("no second rename")
        rename(source, target)

    monkeypatch.setattr("os.replace", failing)
    with pytest.raises(PermissionError, match="no second rename"), replaced_folder(folder):
        pass
    assert names(folder) == ["good"]
    assert names(tmp_path) == ["report"]


def test_a_replaced_folder_has_the_usual_permissions_and_keeps_links(tmp_path: Path) -> None:
    usual = make(tmp_path / "usual", "old")
    link = tmp_path / "link"
    link.symlink_to(usual, target_is_directory=True)
    mode = usual.stat().st_mode
    with replaced_folder(link) as new:
        (new / "new").touch()
    assert link.is_symlink()
    assert names(usual) == ["new"]
    assert usual.stat().st_mode == mode


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"file/report: cannot be made: Not a directory; choose"),
        replaced_folder(tmp_path / "file" / "report"),
    ):
        pass


def test_nan_is_null_and_numpy_is_plain(tmp_path: Path) -> None:
    content = {"a": float("nan"), "b": np.float32(0.5), "c": [np.int64(3), {"d": np.nan}], "e": "x"}
    write_json(tmp_path / "x.json", content)
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "a": None,
        "b": 0.5,
        "c": [3, {"d": None}],
        "e": "x",
    }
    assert read_json(tmp_path / "x.json", "irstd evaluate")["c"][0] == 3


def test_equal_json_gives_equal_bytes_in_the_order_given(tmp_path: Path) -> None:
    content = [{"b": "ä", "a": (1,)}]
    for name in ("x.json", "y.json"):
        write_json(tmp_path / name, content)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert text.split() == ["[", "{", '"b":', '"ä",', '"a":', "[", "1", "]", "}", "]"]
    assert (tmp_path / "y.json").read_text(encoding="utf-8") == text


def test_infinity_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("inf")})
    assert not list(tmp_path.iterdir())


def test_text_is_written_under_its_name_only(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.md", "ä")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.md"]


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.json: not found; run `irstd evaluate x` first"):
        read_json(tmp_path / "metrics.json", "irstd evaluate x")


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{", "not valid JSON"), ("[" * 100_000, "not valid JSON"), ("[1]", "got list")],
)
def test_a_damaged_file_names_the_command(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=rf"{fault}.*run `irstd train` again"):
        read_json(tmp_path / "x.json", "irstd train")
