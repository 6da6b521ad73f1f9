import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from irstd.errors import DataError
from irstd.stages.add_data import add_data
from tests.folders import write_pairs
from tests.sirst_layout import write_sirst


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "download"
    folder.mkdir()
    write_sirst(folder, "Misc")
    (folder / "README.md").write_text("as published", encoding="utf-8")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_folders_of_the_layout_are_copied(published: Path, root: Path) -> None:
    target = add_data(root, "sirst", published)
    assert target == root / "data" / "raw" / "sirst"
    expected = files(published)
    del expected["README.md"]
    assert files(target) == expected
    assert [path.name for path in target.parent.iterdir()] == ["sirst"]


def test_kinds_of_background_are_copied_too(published: Path, root: Path) -> None:
    (published / "backgrounds.csv").write_text("id,background\nMisc_1,sea\n", encoding="utf-8")
    assert "backgrounds.csv" in files(add_data(root, "sirst", published))


def test_folder_names_of_the_authors_repository(published: Path, root: Path) -> None:
    (published / "idx_427").mkdir()
    for part in ("train", "val", "test"):
        (published / "splits" / f"idx_427_{part}.txt").rename(published / "idx_427" / f"{part}.txt")
    assert (add_data(root, "sirst", published) / "idx_427" / "val.txt").is_file()


def test_same_data_again_changes_nothing(
    published: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = add_data(root, "sirst", published)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    with caplog.at_level("INFO"):
        add_data(root, "sirst", published)
        add_data(root, "sirst", target)
    assert caplog.text.count("already there, with the same 29 files") == 2
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == times


@pytest.mark.parametrize("change", ["content", "extra", "fewer"])
def test_other_data_is_not_overwritten(published: Path, root: Path, change: str) -> None:
    target = add_data(root, "sirst", published)
    before = files(target)
    extra = published / "images" / "Misc_99.png"
    if change == "content":
        (published / "images" / "Misc_1.png").write_bytes(b"other")
    elif change == "extra":
        extra.write_bytes(b"new")
    else:
        (published / "splits" / "nuaa_213_train.txt").unlink()
    with pytest.raises(DataError, match=r"other data is already there \(1 files differ"):
        add_data(root, "sirst", published)
    assert files(target) == before


def test_wrong_layout_says_what_was_found(root: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    (wrong / "img").mkdir(parents=True)
    (wrong / "label").mkdir()
    with pytest.raises(DataError, match=r"expected one of these layouts:(?s:.*)found: img, label"):
        add_data(root, "sirst", wrong)
    with pytest.raises(DataError, match="found no folder there"):
        add_data(root, "sirst", tmp_path / "nowhere")
    with pytest.raises(DataError, match="unknown data set 'coco'"):
        add_data(root, "coco", wrong)
    assert list(root.iterdir()) == []


def test_missing_files_are_named(published: Path, root: Path) -> None:
    (published / "images" / "Misc_3.png").unlink()
    (published / "masks" / "Misc_5_pixels0.png").unlink()
    message = r"missing for 2: Misc_3: the image is missing; Misc_5: the mask is missing"
    with pytest.raises(DataError, match=message):
        add_data(root, "sirst", published)
    assert list(root.iterdir()) == []


def test_links_out_of_the_folder_are_refused(published: Path, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"private")
    link = published / "images" / "link.png"
    for points_to in (secret, tmp_path / "nothing.png", published / "masks"):
        link.symlink_to(points_to)
        with pytest.raises(DataError, match=r"link\.png: expected a file of the data set"):
            add_data(root, "sirst", published)
        link.unlink()
    (published / "images").rename(tmp_path / "elsewhere")
    (published / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="images: expected a file of the data set, found a link"):
        add_data(root, "sirst", published)
    assert list(root.iterdir()) == []


def test_links_inside_become_files(published: Path, root: Path) -> None:
    image = published / "images" / "Misc_1.png"
    content = image.read_bytes()
    image.rename(published / "images" / "real.png")
    image.symlink_to("real.png")
    copied = add_data(root, "sirst", published) / "images" / "Misc_1.png"
    assert not copied.is_symlink()
    assert copied.read_bytes() == content


def test_failed_copy_leaves_nothing(
    published: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(DataError, match=r"could not be copied: .*No space left"):
        add_data(root, "sirst", published)
    assert files(root) == {}


def test_without_dvc_it_says_so(
    published: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_data(root, "sirst", published)
    assert "not tracked" in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("dvc") is None, reason="DVC is not installed")
def test_tracked_where_the_project_uses_dvc(
    published: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    command = [sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"]
    subprocess.run(command, cwd=root, check=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    target = add_data(root, "sirst", published)
    tracked = (root / "data" / "raw" / "sirst.dvc").read_text(encoding="utf-8")
    assert "nfiles: 29" in tracked
    assert len(files(target)) == 29


@pytest.mark.skipif(importlib.util.find_spec("dvc") is None, reason="DVC is not installed")
def test_failure_of_dvc_is_reported(published: Path, root: Path) -> None:
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"`dvc add data/raw/sirst` failed:\n.*"):
        add_data(root, "sirst", published)


def test_real_sirst_is_accepted(shared: Path, root: Path) -> None:
    target = add_data(root, "sirst", shared / "data" / "sirst")
    assert len(list((target / "images").iterdir())) == 427
    assert os.access(target / "images", os.W_OK)


def test_another_data_set_is_refused(root: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "scenes", ("images/1/1.png", "masks/1/1.png"))
    with pytest.raises(DataError, match=r"SIRST-Aug.* in one of the layouts L7, found L12"):
        add_data(root, "sirst_aug", tmp_path / "scenes")
    write_pairs(tmp_path / "parts", ("train/images/1.png", "train/masks/1.png"))
    with pytest.raises(DataError, match="all of the size 256 x 256, found 24 x 32"):
        add_data(root, "sirst_aug", tmp_path / "parts")
    write_sirst(tmp_path)
    with pytest.raises(DataError, match=r"SIRST: .*Misc_\\d\+, found 12 others, first 's_0'"):
        add_data(root, "sirst", tmp_path)
    assert list(root.iterdir()) == []


def test_a_folder_around_the_data_is_not_copied(published: Path, root: Path) -> None:
    outer = published.parent / "outer"
    outer.mkdir()
    published.rename(outer / "sirst-master")
    assert (add_data(root, "sirst", outer) / "images" / "Misc_1.png").is_file()
