from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.data.pixels import to_grey
from irstd.errors import DataError
from irstd.inference.inputs import Source, count_frames, find_sources, read_frames


def write(path: Path, pixels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((5, 7), np.uint8) if pixels is None else pixels)
    return path


def write_video(path: Path, frames: list[np.ndarray], codec: str) -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10.0, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) if frame.ndim == 2 else frame)
    writer.release()
    return path


def names(inputs: list[Path], skip: Path = Path("/none")) -> list[str]:
    return [source.name for source in find_sources(inputs, skip)]


def test_a_folder_gives_its_files_in_order_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.tif", "a.png", "deep/er/c.BMP", "deep/d.jpeg", ".hidden/e.png", "._a.png"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "clip.avi").write_bytes(b"")
    expected = ["a.png", "b.tif", "clip.avi", "deep/d.jpeg", "deep/er/c.BMP"]
    assert names([tmp_path]) == expected


def test_names_of_two_inputs_never_collide(tmp_path: Path) -> None:
    for name in ("x/p/a.png", "y/p/a.png", "b.png"):
        write(tmp_path / name)
    assert names([tmp_path / "x" / "p", tmp_path / "y" / "p"]) == ["x/p/a.png", "y/p/a.png"]
    both = [tmp_path / "x", tmp_path / "x" / "p" / "a.png", tmp_path / "y" / ".." / "b.png"]
    assert names(both) == ["b.png", "x/p/a.png"]
    assert names([tmp_path / "b.png"]) == ["b.png"]


def test_links_keep_their_own_names(tmp_path: Path) -> None:
    target = write(tmp_path / "store" / "0123.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "first.png").symlink_to(target)
    assert names([tmp_path / "images"]) == ["first.png"]


def test_results_are_never_inputs(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    write(tmp_path / "out" / "masks" / "a.png.png")
    assert names([tmp_path], skip=tmp_path / "out") == ["a.png"]


def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected images or videos \(\.avi, .*found none"):
        find_sources([tmp_path], tmp_path / "out")
    with pytest.raises(DataError, match="expected at least one image, video or folder, got none"):
        find_sources([], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.png", np.uint16), ("a.tiff", np.uint16), ("a.bmp", np.uint8), ("a.tif", np.uint8)],
)
def test_images_are_read_in_their_own_depth(tmp_path: Path, name: str, dtype: type) -> None:
    pixels = np.arange(35).reshape(5, 7).astype(dtype) * (1000 if dtype is np.uint16 else 5)
    source = Source(write(tmp_path / name, pixels), name)
    ((frame, image),) = read_frames(source)
    assert frame is None
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, pixels)
    assert count_frames(source) == 1


@pytest.mark.parametrize(("name", "codec", "limit"), [("a.avi", "FFV1", 0), ("a.mp4", "mp4v", 20)])
def test_videos_give_numbered_frames(tmp_path: Path, name: str, codec: str, limit: int) -> None:
    frames = [np.full((34, 50), 20 * number, np.uint8) for number in range(5)]
    source = Source(write_video(tmp_path / name, frames, codec), name)
    assert count_frames(source) == 5
    read = list(read_frames(source))
    assert [number for number, _ in read] == [0, 1, 2, 3, 4]
    for (_, image), frame in zip(read, frames, strict=True):
        assert image.shape == frame.shape
        assert np.abs(image.astype(int) - frame).max() <= limit


def test_colours_of_a_frame_become_grey_as_in_a_file(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (16, 32, 3), np.uint8)
    video = write_video(tmp_path / "a.avi", [colours], "HFYU")
    ((_, image),) = read_frames(Source(video, "a.avi"))
    is_read, frame = cv2.VideoCapture(str(video)).read()
    assert is_read
    np.testing.assert_array_equal(image, to_grey(frame))
    # the codec's colour space costs a little
    assert np.abs(image.astype(int) - to_grey(colours)).mean() < 6


def test_a_video_that_ends_early_is_an_error_after_its_frames(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64), dtype=np.uint8)
    path = write_video(tmp_path / "a.avi", list(noise), "FFV1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read = []
    with pytest.raises(DataError, match=r"announces 20 frames, but \d+ could be read"):
        read.extend(number for number, _ in read_frames(Source(path, "a.avi")))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"", "expected a video .* got another kind of file"),
        ("a.avi", b"RIFF\0\0\0\0AVI ", "expected a video, got a damaged file"),
        ("a.mp4", None, "expected a video, got no such file"),
        ("a.png", b"", "the file is empty"),
        ("a.png", b"no image", "damaged or of another kind"),
        ("a.jpg", None, "cannot be read: No such file"),
        ("a.txt", b"text", r"expected an image or a video .* got another kind of file"),
        ("a", None, "got no such file or folder"),
    ],
)
def test_faulty_files_say_why(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_frames(Source(path, name)))
    assert count_frames(Source(path, name)) == 1


def test_a_file_of_several_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    cv2.imwritemulti(str(path), [np.zeros((4, 4), np.uint16)] * 3)
    with pytest.raises(DataError, match="expected one image, got 3 pages; split the file"):
        list(read_frames(Source(path, "stack.tif")))
