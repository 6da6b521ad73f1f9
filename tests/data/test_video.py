from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.data.clips import read_clip
from irstd.data.faults import FaultLog, read_images
from irstd.data.layouts import open_contents
from irstd.data.listing import Listed
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import DataError
from tests.data.test_generic import read
from tests.folders import write_target

SHAPE = (24, 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lossless video of 12 grey frames, frame n with the value 10 n, and two masks."""
    kind = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), kind, 25, (SHAPE[1], SHAPE[0]))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write FFV1")
    for number in range(12):
        writer.write(np.full((*SHAPE, 3), 10 * number, np.uint8))
    writer.release()
    for number in (10, 2):
        write_target(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def test_masked_frames_are_read_by_their_number(folder: Path) -> None:
    contents = open_contents(folder)
    images, reasons = read(contents)
    assert (contents.layout, reasons) == ("video", [])
    assert list(images) == ["clip_2", "clip_10"]
    assert {raw.sequence for raw in images.values()} == {"clip"}
    for name, frame in (("clip_2", 2), ("clip_10", 10)):
        assert images[name].frame == frame
        assert images[name].mask.sum() == 16
        np.testing.assert_allclose(images[name].image, 10 * frame, atol=1)  # colour conversion


def test_a_mask_without_frame_is_a_fault(folder: Path) -> None:
    write_target(folder / "masks" / "12.png")
    write_target(folder / "masks" / "02.png")
    images, reasons = read(open_contents(folder))
    assert list(images) == ["clip_2", "clip_10"]
    assert "frame 2 has two masks" in reasons[0]
    assert reasons[1] == "a mask without frame: the video ends before frame 12"


def test_a_damaged_video_is_a_fault_of_every_frame(folder: Path) -> None:
    (folder / "clip.avi").write_bytes(b"RIFF\0\0\0\0AVI no video")
    images, reasons = read(open_contents(folder))
    assert images == {}
    assert len(reasons) == 2
    assert set(reasons) == {"expected a video, got a damaged file or an unknown codec"}


def test_a_playlist_is_not_opened(folder: Path) -> None:
    (folder / "clip.avi").rename(folder / "clip.bin")
    (folder / "clip.mp4").write_text("ffconcat version 1.0\nfile clip.bin\n")
    images, reasons = read(open_contents(folder))
    assert images == {}
    assert (
        reasons
        == ["expected a video (AVI, MP4, MOV, Matroska, WebM), got another kind of file"] * 2
    )


def test_faults_name_the_mask_without_frame(folder: Path) -> None:
    write_target(folder / "masks" / "12.png")
    contents, log = open_contents(folder), FaultLog("quarantine")
    items = [Listed(entry, "test") for entry in contents.entries.values()]
    list(read_images(contents, items, log))
    assert [fault.file for fault, _ in log.entries] == ["masks/12.png"]


def test_tiny_frames_are_faults(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irstd.data.faults.MIN_SIDE_PX", 25)
    _, reasons = read(open_contents(folder))
    assert reasons == ["expected at least 25 x 25 pixels, got 24 x 32"] * 2


def test_a_sparsely_labelled_video_gives_no_clips(folder: Path, tmp_path: Path) -> None:
    images, _ = read(open_contents(folder))
    write_prepared(tmp_path / "prepared", images.values(), "folder")
    data = PreparedData(tmp_path / "prepared")
    with pytest.raises(DataError, match="sequence clip are not consecutive: of frames 2 to 10"):
        read_clip(data, 0, 5, 2)
    np.testing.assert_allclose(read_clip(data, 0, 1, 0), 20, atol=1)
