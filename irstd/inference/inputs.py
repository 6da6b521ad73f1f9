"""The images and videos a user names, in a fixed order and with names that never collide."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from irstd.data.pixels import Grey, count_pages, read_grey, to_grey
from irstd.data.video import open_video
from irstd.errors import DataError

IMAGES = frozenset({".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg"})
VIDEOS = frozenset({".avi", ".mp4", ".mkv", ".mov", ".webm"})
COUNT_TOLERANCE = 1
"""Frames a container may announce too many: in some, the count is estimated from a duration."""


@dataclass(frozen=True)
class Source:
    """One file to look at.

    Attributes:
        path: the file.
        name: its path relative to the common folder of all inputs, with `/`; unique.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether the suffix is that of a video."""
        return self.path.suffix.lower() in VIDEOS


def find_sources(inputs: Sequence[Path], skip: Path) -> list[Source]:
    """Files behind the inputs: a file is itself, a folder its images and videos at any depth.

    Hidden files are left out of folders. A file that is named, but missing or of an unknown kind,
    is listed, so that reading it tells what is wrong.

    Args:
        inputs: files and folders.
        skip: folder whose content is never an input: the one that results are written to.

    Returns:
        Sources ordered by name; a file that is named twice comes once.

    Raises:
        DataError: no input, or no image and no video in any of them.
    """
    if not inputs:
        raise DataError("expected at least one image, video or folder, got none")
    starts = [_absolute(path) for path in inputs]
    base = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in starts]))
    skipped = _absolute(skip)
    found = {
        file
        for start in starts
        for file in (_files(start) if start.is_dir() else [start])
        if not file.is_relative_to(skipped)
    }
    if not found:
        shown = ", ".join(str(path) for path in inputs)
        raise DataError(
            f"{shown}: expected images or videos ({', '.join(sorted(IMAGES | VIDEOS))}), found none"
        )
    sources = [Source(file, file.relative_to(base).as_posix()) for file in found]
    return sorted(sources, key=lambda source: source.name)


def count_frames(source: Source) -> int:
    """How many images to expect of a source, for a progress bar; 1 where it does not say."""
    if not source.is_video:
        return 1
    capture = cv2.VideoCapture(str(source.path))
    try:
        return max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()


def read_frames(source: Source) -> Iterator[tuple[int | None, Grey]]:
    """The grey images of a source, (H, W), uint8 or uint16; video frames with their number from 0.

    A video is decoded to 8 bits per channel, whatever its format holds.

    Raises:
        DataError: the file cannot be read, or a video ends before the frames it announces; what
            came before is valid.
    """
    if source.is_video:
        yield from _video_frames(source.path)
        return
    if source.path.suffix.lower() not in IMAGES:
        raise DataError(
            f"expected an image or a video ({', '.join(sorted(IMAGES | VIDEOS))}), "
            + ("got another kind of file" if source.path.exists() else "got no such file or folder")
        )
    image = read_grey(source.path)
    pages = count_pages(source.path)
    if pages > 1:
        raise DataError(f"expected one image, got {pages} pages; split the file into one per page")
    yield None, image


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would rename symbolic links


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in IMAGES | VIDEOS and path.is_file():
            yield path


def _video_frames(path: Path) -> Iterator[tuple[int, Grey]]:
    capture = open_video(path)
    try:
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        number = 0
        while True:
            is_read, frame = capture.read()
            if not is_read:
                break
            yield number, to_grey(frame)
            number += 1
        if number == 0 or number + COUNT_TOLERANCE < announced:
            raise DataError(f"the video announces {announced} frames, but {number} could be read")
    finally:
        capture.release()
