import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from irstd.data.check import check_folder, guess_source
from irstd.data.layouts import open_contents
from irstd.errors import DataError
from tests.damaged_files import huge_png
from tests.folders import write_blank_png, write_grey, write_pairs, write_target, write_text
from tests.sirst_layout import SHAPE, write_image, write_pair, write_sirst

IMAGE, MASK = "images/s_1.png", "masks/s_1_pixels0.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "set"
    path.mkdir()
    return write_sirst(path)


def truncated(folder: Path) -> None:
    content = (folder / IMAGE).read_bytes()
    (folder / IMAGE).write_bytes(content[: len(content) - 20])


def empty(folder: Path) -> None:
    (folder / IMAGE).write_bytes(b"")


def text(folder: Path) -> None:
    write_text(folder / IMAGE, "no image")


def other_size(folder: Path) -> None:
    write_image(folder / MASK, np.zeros((48, 64), np.uint8))


def three_classes(folder: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[2, 3], mask[5, 6] = 128, 255
    write_image(folder / MASK, mask)


def coloured_palette(folder: Path) -> None:
    mask = Image.fromarray(np.eye(*SHAPE, dtype=np.uint8), "P")
    mask.putpalette([0, 0, 0, 255, 0, 0])
    mask.save(folder / MASK)


def large(folder: Path) -> None:
    write_blank_png(folder / IMAGE, 20_000, 1, 0, 2500)


def header_bomb(folder: Path) -> None:
    (folder / IMAGE).write_bytes(huge_png(20_000))


def tile_bomb(folder: Path) -> None:
    tags = [(256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (277, 1)]
    tags += [(322, 1 << 20), (323, 1 << 10), (324, 8), (325, 64)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = struct.pack("<4sI", b"II*\0", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)
    (folder / IMAGE).write_bytes(content)


def sparse(folder: Path) -> None:
    with (folder / IMAGE).open("r+b") as file:
        file.truncate(1 << 40)


def floats(folder: Path) -> None:
    pixels = np.full(SHAPE, np.nan, np.float32)
    (folder / IMAGE).write_bytes(cv2.imencode(".tiff", pixels)[1].tobytes())


def pages(folder: Path) -> None:
    frame = Image.fromarray(np.zeros(SHAPE, np.uint8))
    frame.save(folder / IMAGE, "TIFF", save_all=True, append_images=[frame])


def tiny(folder: Path) -> None:
    write_image(folder / IMAGE, np.zeros((7, 32), np.uint8))
    write_image(folder / MASK, np.zeros((7, 32), np.uint8))


def pipe(folder: Path) -> None:
    (folder / IMAGE).unlink()
    os.mkfifo(folder / IMAGE)


def link_out(folder: Path) -> None:
    (folder / IMAGE).rename(folder.parent / "elsewhere.png")
    (folder / IMAGE).symlink_to(folder.parent / "elsewhere.png")


def link_loop(folder: Path) -> None:
    (folder / IMAGE).unlink()
    (folder / IMAGE).symlink_to("s_1.png")


def no_image(folder: Path) -> None:
    (folder / IMAGE).unlink()


def no_mask(folder: Path) -> None:
    (folder / MASK).unlink()


def second_image(folder: Path) -> None:
    write_grey(folder / "images" / "s_1.bmp")


FAULTS: list[tuple[Callable[[Path], None], str, str]] = [
    (truncated, IMAGE, "damaged or of another kind"),
    (empty, IMAGE, "the file is empty"),
    (text, IMAGE, "damaged or of another kind"),
    (other_size, MASK, "expected the image's size 24 x 32, got 48 x 64"),
    (three_classes, MASK, "got 3 values (0, 128, 255)"),
    (coloured_palette, MASK, "equal channels, got colours"),
    (large, IMAGE, "the file claims 20000 x 20000"),
    (header_bomb, IMAGE, "the file claims 20000 x 20000"),
    (tile_bomb, IMAGE, "the file claims 1024 x 1048576"),
    (sparse, IMAGE, "expected at most 134217728 bytes, got 1099511627776"),
    (floats, IMAGE, "expected 8 or 16 bits per channel, got 32"),
    (pages, IMAGE, "expected one image, got 2 pages"),
    (tiny, IMAGE, "expected at least 8 x 8 pixels, got 7 x 32"),
    (pipe, IMAGE, "expected a regular file, found a pipe"),
    (link_out, IMAGE, "a link that leads out of the folder"),
    (link_loop, IMAGE, "Too many levels of symbolic links"),
    (no_image, MASK, "a mask without image"),
    (no_mask, MASK, "the mask is missing"),
    (second_image, IMAGE, "several images have this id: images/s_1.bmp, images/s_1.png"),
]


@pytest.mark.parametrize(
    ("damage", "file", "reason"), FAULTS, ids=[row[0].__name__ for row in FAULTS]
)
def test_each_fault_is_named_once(
    folder: Path, damage: Callable[[Path], None], file: str, reason: str
) -> None:
    damage(folder)
    (fault,) = check_folder(folder).faults
    assert (fault.id, fault.file) == ("s_1", file)
    assert reason in fault.reason


def test_all_faults_are_named_in_one_run(folder: Path) -> None:
    for number, damage in enumerate((truncated, three_classes, pipe, no_image, tiny)):
        for kind in ("images", "masks"):
            for path in (folder / kind).glob("s_1[._]*"):
                path.unlink()
        write_pair(folder, "s_1", 1)
        damage(folder)
        for kind, ending in (("images", ".png"), ("masks", "_pixels0.png")):
            source = folder / kind / f"s_1{ending}"
            if os.path.lexists(source):
                source.rename(folder / kind / f"bad_{number}{ending}")
    write_pair(folder, "s_1", 1)
    findings = check_folder(folder)
    assert [fault.id for fault in findings.faults] == [f"bad_{n}" for n in (0, 2, 4, 1, 3)]
    assert findings.images == 12 + 4


def test_a_sound_folder_has_no_fault(folder: Path) -> None:
    findings = check_folder(folder)
    assert (findings.source, findings.images, findings.faults) == ("unknown", 12, [])
    assert findings.warnings == []


def test_sixteen_bits_palettes_alpha_and_odd_names_are_right(folder: Path) -> None:
    write_pair(folder, "ü ñ 中", 90)
    pixels = np.random.default_rng(7).integers(0, 65536, SHAPE).astype(np.uint16)
    write_image(folder / "images" / "s_1.png", pixels)
    Image.fromarray((pixels % 256).astype(np.uint8), "P").save(folder / "images" / "s_2.png")
    rgba = np.repeat((pixels % 251).astype(np.uint8)[..., None], 4, axis=2)
    write_image(folder / "images" / "s_3.png", rgba)
    Image.fromarray(np.eye(*SHAPE, dtype=bool)).save(folder / "masks" / "s_4_pixels0.png")
    grey = Image.fromarray(np.eye(*SHAPE, dtype=np.uint8), "P")
    grey.putpalette([0, 0, 0, 255, 255, 255])
    grey.save(folder / "masks" / "s_5_pixels0.png")
    findings = check_folder(folder)
    assert findings.faults == []
    assert findings.images == 13


def append(folder: Path, name: str, lines: str) -> None:
    with (folder / "splits" / name).open("a", encoding="utf-8", newline="") as file:
        file.write(lines)


@pytest.mark.parametrize(
    ("lines", "name", "reason"),
    [
        ("\nghost", "ghost", "listed for train, but it has no image and no mask"),
        ("\n../s_1", "../s_1", "expected an id that is a plain file name"),
        ("\n/etc/passwd", "/etc/passwd", "expected an id that is a plain file name"),
        ("\ns_0", "s_0", "listed again for train; it is kept for train"),
        ("\r\ns_11\r\n", "s_11", "listed again for train; it is kept for test"),
    ],
)
def test_faults_of_lists(folder: Path, lines: str, name: str, reason: str) -> None:
    append(folder, "idx_427_train.txt", lines)
    (fault,) = check_folder(folder).faults
    assert (fault.id, fault.file) == (name, "splits/idx_427_train.txt")
    assert reason in fault.reason


def test_trainval_keeps_apart_from_test(folder: Path) -> None:
    ids = "\n".join(f"s_{number}" for number in range(9))
    append(folder, "idx_427_trainval.txt", ids)
    assert check_folder(folder).faults == []
    append(folder, "idx_427_trainval.txt", "\ns_11")
    (fault,) = check_folder(folder).faults
    assert (fault.id, fault.file) == ("s_11", "splits/idx_427_trainval.txt")


def test_lists_that_are_no_text_are_faults(folder: Path) -> None:
    (folder / "splits" / "idx_427_val.txt").write_bytes(b"\xff\xfe\x00")
    faults = check_folder(folder).faults
    assert [(fault.id, fault.file) for fault in faults] == [
        ("idx_427_val", "splits/idx_427_val.txt")
    ]


def test_what_may_be_meant_is_a_warning(folder: Path) -> None:
    write_pair(folder, "s_20", 3)
    (folder / "splits" / "idx_427_test.txt").unlink()
    findings = check_folder(folder)
    assert findings.faults == []
    shown = "\n".join(findings.warnings)
    assert "split splits/idx_427_{}.txt: no list for test" in shown
    assert "4 images (s_10, s_11, s_20 and 1 more) not listed" in shown
    assert "s_20: equal to s_3" in shown
    for path in (folder / "splits").iterdir():
        path.unlink()
    assert any("no split list" in text for text in check_folder(folder).warnings)


def test_near_duplicates_are_warnings(folder: Path) -> None:
    pytest.importorskip("imagehash")
    image = cv2.imread(str(folder / "images" / "s_1.png"), cv2.IMREAD_UNCHANGED)
    image[0, 0] ^= 1
    write_image(folder / "images" / "s_2.png", image)
    findings = check_folder(folder)
    assert findings.faults == []
    assert "s_2: nearly equal to s_1" in findings.warnings


def test_counts_are_compared_with_the_published_ones(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("images/Misc_1.png", "masks/Misc_1.png"))
    write_text(tmp_path / "idx_427" / "train.txt", "Misc_1")
    write_text(tmp_path / "idx_427" / "val.txt", "")
    write_text(tmp_path / "idx_427" / "test.txt", "")
    findings = check_folder(tmp_path)
    assert (findings.source, findings.faults) == ("sirst", [])
    assert "1 images, 427 published" in findings.warnings
    assert "split idx_427: idx_427/train.txt lists 1, 256 published" in findings.warnings


def test_a_folder_that_fits_no_layout_is_a_fault(tmp_path: Path) -> None:
    write_text(tmp_path / "pictures" / "a.txt", "x")
    write_text(tmp_path / "b.txt", "x")
    findings = check_folder(tmp_path)
    ((fault,), images) = findings.faults, findings.images
    assert (fault.id, fault.file, images) == ("", ".", 0)
    assert "found: b.txt, pictures" in fault.reason
    with pytest.raises(DataError, match="found no folder there"):
        check_folder(tmp_path / "nowhere")


def test_archives_are_looked_into(folder: Path) -> None:
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("../../escaped.png", b"x")
    (fault,) = check_folder(folder).faults
    assert (fault.id, fault.file) == ("more", "more.zip")
    assert "'../../escaped.png'" in fault.reason


def test_files_are_named_from_the_folder_given(folder: Path) -> None:
    outer = folder.parent / "outer"
    outer.mkdir()
    folder.rename(outer / "inner")
    truncated(outer / "inner")
    assert [fault.file for fault in check_folder(outer).faults] == [f"inner/{IMAGE}"]


def test_source_needs_the_published_size(tmp_path: Path) -> None:
    write_grey(tmp_path / "images" / "000001.png")
    write_target(tmp_path / "masks" / "000001.png")
    assert guess_source(open_contents(tmp_path)) == "unknown"
    for kind in ("images", "masks"):
        write_image(tmp_path / kind / "000001.png", np.zeros((256, 256), np.uint8))
    assert guess_source(open_contents(tmp_path)) == "nudt_sirst"


@pytest.mark.slow  # decodes the largest image there may be
def test_memory_stays_bounded_whatever_files_claim(folder: Path) -> None:
    header_bomb(folder)
    for name in ("images/s_2.png", "masks/s_2_pixels0.png"):
        write_blank_png(folder / name, 5792, 16, 6, 8 * 5792)
    check = (
        "import sys; from pathlib import Path; from irstd.data.check import check_folder; "
        "print(len(check_folder(Path(sys.argv[1])).faults))"
    )
    # A process begins with the peak of the one that started it, here a small one, not the tests'.
    script = (
        "import resource, subprocess, sys; "
        "subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", script, check, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    faults, kibibytes = map(int, done.stdout.split())
    assert faults == 1
    assert kibibytes < 1 << 20


def test_files_of_no_image_are_looked_at(folder: Path) -> None:
    (folder / "notes.png").write_bytes(b"")
    write_grey(folder / "images" / "sub" / "d.png")
    write_text(folder / "images" / "b.gif", "GIF89a")
    write_text(folder / "README.md", "as published")
    findings = check_folder(folder)
    ((fault,), (warning,)) = findings.faults, findings.warnings
    assert (fault.file, "the file is empty" in fault.reason) == ("notes.png", True)
    assert warning == "3 files (images/b.gif, images/sub/d.png, notes.png) belong to no image"


def test_one_bad_image_does_not_hide_the_source(tmp_path: Path) -> None:
    for name in ("000001", "000002"):
        for kind in ("images", "masks"):
            write_image(tmp_path / kind / f"{name}.png", np.zeros((256, 256), np.uint8))
    (tmp_path / "images" / "000001.png").write_bytes(b"")
    findings = check_folder(tmp_path)
    assert findings.source == "nudt_sirst"
    assert "2 images, 1327 published" in findings.warnings


def test_lists_that_cut_sequences_are_warned_of(tmp_path: Path) -> None:
    frames = [f"{scene}/{frame}" for scene in (1, 2) for frame in (1, 2)]
    write_pairs(tmp_path, *((f"images/{name}.png", f"masks/{name}.png") for name in frames))
    write_text(tmp_path / "train.txt", "1/1\n2/1\n2/2")
    write_text(tmp_path / "test.txt", "1/2")
    shown = "\n".join(check_folder(tmp_path).warnings)
    assert "1 sequences (1) in several parts" in shown
