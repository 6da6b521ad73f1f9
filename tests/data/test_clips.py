import numpy as np
import pytest

from irstd.data.clips import (
    check_clips,
    clip_positions,
    clip_rows,
    read_clip,
    sliding_clips,
    stack_frames,
)
from irstd.data.dataset import Images
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import DataError

FRAMES, TARGET = 6, 3


def raw(name: str, value: int, sequence: str | None, frame: int | None, side: int = 8) -> RawImage:
    image = np.full((side, side), value, np.uint8)
    image[0, 0] = 1
    mask = np.zeros((side, side), np.uint8)
    return RawImage(name, "train", image, mask, sequence=sequence, frame=frame)


@pytest.fixture
def data(tmp_path) -> PreparedData:
    """A sequence of four frames out of order, one of a single frame, and a still image."""
    images = [raw(f"a{frame}", 10 + frame, "a", frame) for frame in (2, 0, 3, 1)]
    images += [raw("b0", 50, "b", 0), raw("still", 90, None, None)]
    write_prepared(tmp_path, images, "test")
    return PreparedData(tmp_path)


@pytest.mark.parametrize(
    ("position", "expected"),
    [(0, [5, 6, 7, 0, 1, 2]), (3, [0, 1, 2, 3, 4, 5]), (7, [4, 5, 6, 7, 0, 1])],
)
def test_positions_run_around_the_ends(position, expected):
    assert clip_positions(position, 8, FRAMES, TARGET) == expected


@pytest.mark.parametrize(
    ("position", "expected"),
    [(0, [0, 0, 0, 0, 1, 2]), (3, [0, 1, 2, 3, 4, 5]), (7, [4, 5, 6, 7, 7, 7])],
)
def test_ends_are_repeated_by_choice(position, expected):
    assert clip_positions(position, 8, FRAMES, TARGET, "repeat") == expected


@pytest.mark.parametrize(
    ("position", "length", "expected"),
    [
        (0, 9, [4, 3, 2, 1, 0]),
        (3, 9, [7, 6, 5, 4, 3]),
        (4, 9, [0, 1, 2, 3, 4]),
        (8, 9, [4, 5, 6, 7, 8]),
        (0, 3, [2, 2, 2, 1, 0]),  # too short for the published rule
    ],
)
def test_the_start_is_turned_round_by_choice(position, length, expected):
    """DTUM on SatVideoIRSDT: i - 4, ..., i, or i + 4, ..., i for the first four frames."""
    assert clip_positions(position, length, 5, 4, "reverse") == expected


def test_a_clip_follows_the_frames_of_its_own_sequence(data):
    ids = data.index["id"].tolist()
    assert [ids[row] for row in clip_rows(data, ids.index("a0"), FRAMES, TARGET)] == [
        "a1", "a2", "a3", "a0", "a1", "a2",
    ]  # fmt: skip
    clip = read_clip(data, ids.index("a2"), FRAMES, TARGET)
    assert clip.shape == (FRAMES, 8, 8)
    assert clip[:, 1, 1].tolist() == [13, 10, 11, 12, 13, 10]


@pytest.mark.parametrize("name", ["b0", "still"])
def test_a_lone_image_is_repeated(data, name):
    row = data.index["id"].tolist().index(name)
    assert clip_rows(data, row, FRAMES, TARGET) == [row] * FRAMES


def test_single_frames_stay_images(data):
    assert read_clip(data, 0, 1, 0).shape == (8, 8)


@pytest.mark.parametrize("border", ["wrap", "repeat", "reverse"])
@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 9, 12, 13, 40])
@pytest.mark.parametrize("target", [0, 3, 5])
def test_sliding_gives_every_clip_once_and_equal_to_the_indexed_one(length, border, target):
    images = [np.full((2, 3), index, np.uint8) for index in range(length)]
    clips = dict(sliding_clips(iter(images), FRAMES, target, "video", border))
    assert sorted(clips) == list(range(length))
    for position, clip in clips.items():
        expected = clip_positions(position, length, FRAMES, target, border)
        assert clip[:, 0, 0].tolist() == expected


def test_nothing_slides_over_nothing():
    assert list(sliding_clips(iter(()), FRAMES, TARGET, "video")) == []


@pytest.fixture
def gaps(tmp_path) -> PreparedData:
    """Frames 3, 4, 7, 8, 9 of a sequence: two are missing."""
    write_prepared(tmp_path, [raw(f"a{n}", 10 + n, "a", n) for n in (3, 4, 7, 8, 9)], "test")
    return PreparedData(tmp_path)


def test_the_nearest_frame_stands_for_a_missing_one(gaps, caplog):
    frames = gaps.index["frame"].to_numpy()
    assert frames[clip_rows(gaps, 2, 5, 3)].tolist() == [4, 4, 7, 7, 8]
    assert frames[clip_rows(gaps, 0, 4, 3)].tolist() == [7, 8, 9, 3]
    assert frames[clip_rows(gaps, 0, 4, 3, "repeat")].tolist() == [3, 3, 3, 3]
    check_clips(gaps, range(5))
    assert "2 frames are missing in 1 of 1 sequences" in caplog.text


def test_nothing_is_logged_of_whole_sequences(data, caplog):
    check_clips(data, range(6))
    assert not caplog.text


def test_sparsely_labelled_frames_are_refused_for_clips_alone(tmp_path):
    write_prepared(tmp_path, [raw(f"a{n}", 10 + n, "a", n) for n in (2, 10)], "test")
    sparse = PreparedData(tmp_path)
    expected = r"sequence a are not consecutive: of frames 2 to 10, 7 are missing"
    with pytest.raises(DataError, match=expected):
        read_clip(sparse, 0, FRAMES, TARGET)
    with pytest.raises(DataError, match=expected):
        Images(sparse, "train", FRAMES, TARGET)
    assert len(Images(sparse, "train")) == 2


def test_frames_of_unequal_size_are_refused():
    with pytest.raises(DataError, match=r"seq: the frames of a sequence must have one size"):
        stack_frames([np.zeros((2, 2)), np.zeros((2, 3))], "seq")
