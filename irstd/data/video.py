"""A video file with a folder of masks, one for each labelled frame."""

import re
from pathlib import Path

import cv2

from irstd.data.entries import Entry, Found, stem_of
from irstd.data.pixels import Grey, check_claim, to_grey
from irstd.data.sources import Fault
from irstd.data.tree import Tree
from irstd.errors import DataError

SIGNATURES = (
    re.compile(rb"RIFF.{4}AVI ", re.DOTALL),
    re.compile(rb".{4}(?:ftyp|moov|mdat|wide|free|skip)", re.DOTALL),
    re.compile(rb"\x1aE\xdf\xa3"),
)
"""First bytes of AVI, of MP4 and MOV, and of Matroska and WebM."""

VIDEO_FILE = r"[^/]+\.(?i:avi|mp4|mkv|mov|webm)"


class MissingFrameError(DataError):
    """A video ends before the frame that a mask is made for."""


def collect_video(tree: Tree) -> Found:
    """The frames that have a mask; `masks/<number>.png` counts frames from 0 in decoding order.

    Frames without a mask are left aside: nothing is known of their targets. Clips miss them; see
    `irstd.data.clips`.
    """
    first, *others = (match.string for match in tree.matching(VIDEO_FILE))
    if others:
        return Found({}, (Fault("", others[0], f"expected one video, got {first} as well"),))
    sequence = stem_of(first)
    entries: dict[str, Entry] = {}
    faults = []
    masks = tree.matching(r"masks/(\d+)\.png")
    for match in sorted(masks, key=lambda match: int(match[1])):
        frame = int(match[1])
        plain = f"{sequence}_{frame}"
        if plain in entries:
            reason = f"frame {frame} has two masks, {entries[plain].mask} and this"
            faults.append(Fault(plain, match.string, reason))
            continue
        name = f"{sequence}/{frame}"
        entries[plain] = Entry(plain, name, first, match.string, sequence=sequence, frame=frame)
    return Found(entries, tuple(faults))


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video, to be released by the caller.

    Playlists are refused: they name other files, which would be opened too.

    Raises:
        DataError: it is missing or no AVI, MP4, MOV, Matroska or WebM file, or its frames are too
            large.
    """
    if not path.is_file():
        raise DataError("expected a video, got no such file")
    with path.open("rb") as file:
        first = file.read(16)
    if not any(signature.match(first) for signature in SIGNATURES):
        raise DataError(
            "expected a video (AVI, MP4, MOV, Matroska, WebM), got another kind of file"
        )
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DataError("expected a video, got a damaged file or an unknown codec")
    sides = (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    check_claim(*(int(capture.get(side)) for side in sides))
    return capture


class VideoReader:
    """Decodes frames by their number; fastest in ascending order.

    Args:
        tree: the folder of the video.
        file: the video, relative to it.
    """

    def __init__(self, tree: Tree, file: str) -> None:
        """Nothing is opened before the first frame is asked for."""
        self._tree, self._file = tree, file
        self._capture: cv2.VideoCapture | None = None
        self._next = 0

    def frame(self, number: int) -> Grey:
        """Grey values of one frame, (H, W), uint8.

        Raises:
            DataError: the file is no video, its frames are too large, or it ends before.
        """
        if self._capture is None or number < self._next:
            self.close()
            self._capture = self._open()
        while self._next < number:
            self._advance(self._capture.grab(), number)
        is_read, pixels = self._capture.read()
        self._advance(is_read, number)
        return to_grey(pixels)

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
        self._capture, self._next = None, 0

    def _open(self) -> cv2.VideoCapture:
        if self._file in self._tree.unreadable:
            raise DataError(self._tree.unreadable[self._file])
        return open_video(self._tree.root / self._file)

    def _advance(self, is_read: bool, number: int) -> None:
        if not is_read:
            raise MissingFrameError(f"a mask without frame: the video ends before frame {number}")
        self._next += 1
