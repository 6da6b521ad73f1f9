from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.errors import DataError
from irstd.inference.inputs import Source, find_sources
from irstd.inference.sequences import find_sequences, read_clips
from tests.damaged_files import huge_png

CLIP = (3, 1, "wrap")


def write(path: Path, value: int, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((side, side), value, np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders of frames, their names in the order of time."""
    for number in range(4):
        write(tmp_path / "in" / "a" / f"{number}.png", 10 + number)
    for number in range(2):
        write(tmp_path / "in" / "b" / f"{number}.png", 50 + number)
    return tmp_path / "in"


def collect(sequences: list[list[Source]]) -> tuple[dict[str, list[int]], list[str]]:
    clips: dict[str, list[int]] = {}
    faults: list[str] = []
    for sequence in sequences:
        for frame, clip in read_clips(sequence, CLIP, lambda file, _: faults.append(file.name)):
            clips[frame.source.name] = clip[:, 0, 0].tolist()
    return clips, faults


def test_images_of_one_folder_are_a_sequence(folder: Path) -> None:
    clips, faults = collect(find_sequences(find_sources([folder], folder / "none"), CLIP[0]))
    assert not faults
    assert clips == {
        "a/0.png": [13, 10, 11],
        "a/1.png": [10, 11, 12],
        "a/2.png": [11, 12, 13],
        "a/3.png": [12, 13, 10],
        "b/0.png": [51, 50, 51],
        "b/1.png": [50, 51, 50],
    }


def test_single_images_stay_alone(folder: Path) -> None:
    sequences = find_sequences(find_sources([folder], folder / "none"), 1)
    assert [len(sequence) for sequence in sequences] == [1] * 6
    ((frame, image),) = read_clips(sequences[0], (1, 0, "wrap"), lambda *_: None)
    assert (frame.source.name, frame.number, image.shape) == ("a/0.png", None, (8, 8))


def test_a_faulty_file_is_named_and_left_out(folder: Path) -> None:
    (folder / "a" / "1.png").write_bytes(huge_png())
    clips, faults = collect(find_sequences(find_sources([folder / "a"], folder / "none"), CLIP[0]))
    assert faults == ["1.png"]
    assert clips["2.png"] == [10, 12, 13]


def test_frames_of_two_sizes_are_no_sequence(folder: Path) -> None:
    write(folder / "a" / "9.png", 1, side=9)
    with pytest.raises(DataError, match=r"a/0\.png: the frames of a sequence must have one size"):
        collect(find_sequences(find_sources([folder], folder / "none"), CLIP[0]))


def test_a_video_is_a_sequence_of_numbered_frames(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(
        str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (32, 16), isColor=False
    )
    for value in (20, 90, 160, 230):
        writer.write(np.full((16, 32), value, np.uint8))
    writer.release()
    (sequence,) = find_sequences(find_sources([tmp_path / "v.avi"], tmp_path / "none"), CLIP[0])
    found = {frame.number: clip for frame, clip in read_clips(sequence, CLIP, lambda *_: None)}
    assert sorted(found) == [0, 1, 2, 3]
    levels = [round(float(frame.mean()) / 70) for frame in found[0]]
    assert levels == [3, 0, 1]
