"""Image and mask files as arrays of pixels.

Files are decoded with OpenCV: palettes become colours, 16-bit values stay exact, EXIF orientation
is ignored (a mask has none). An alpha channel is dropped. Colours become grey by the luma of ITU-R
BT.601-7, section 2.5.1, in integers, so that equal channels keep their value in 8 and 16 bit:

    grey = floor((299 R + 587 G + 114 B + 500) / 1000)
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from irstd.errors import DataError

RED, GREEN, BLUE = 299, 587, 114
"""Weights of ITU-R BT.601 in thousandths."""

PNG, BMP = b"\x89PNG\r\n\x1a\n", b"BM"
TIFF = {b"II*\0": "<", b"MM\0*": ">"}
"""First bytes of files, for TIFF with the byte order."""

TIFF_WIDTH, TIFF_HEIGHT, TIFF_SHORT = 256, 257, 3
"""Tags of TIFF 6.0, section 8, and its type of 16 bits."""

Grey = Shaped[np.ndarray, "h w"]
"""Native grey values: uint8 or uint16, (H, W)."""


def to_unit(image: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "h w"]:
    """Scale grey values to [0, 1] by the range of their dtype, not by their content.

    Args:
        image: (H, W), uint8 (divided by 255), uint16 (by 65535) or floating, already in [0, 1].

    Raises:
        DataError: another number of axes or dtype, or floating values outside [0, 1] or not finite.
    """
    if image.ndim != 2:
        raise DataError(
            f"expected a grey image (H, W), got shape {image.shape}; read files with read_grey"
        )
    if image.dtype in (np.uint8, np.uint16):
        scaled: Float32[np.ndarray, "h w"] = image.astype(np.float32)
        scaled /= np.float32(np.iinfo(image.dtype).max)
        return scaled
    if not np.issubdtype(image.dtype, np.floating):
        raise DataError(
            f"expected uint8, uint16 or floating grey values, got {image.dtype}; convert the image"
        )
    unit = image.astype(np.float32)
    if not bool(np.all((unit >= 0.0) & (unit <= 1.0))):
        raise DataError(
            f"expected floating grey values in [0, 1], got {np.min(image):g} to {np.max(image):g}; "
            "scale them by the sensor's range, or pass uint8 or uint16"
        )
    return unit


def read_grey(path: Path) -> Grey:
    """Read an image file as grey values, (H, W), uint8 or uint16.

    Raises:
        DataError: the file is missing, empty, not a readable image, or neither 8 nor 16 bit.
    """
    return _read(path, decode_grey)


def read_mask(path: Path) -> UInt8[np.ndarray, "h w"]:
    """Read a mask file, (H, W), 1 on target pixels, 0 elsewhere.

    Raises:
        DataError: as `read_grey`; or the channels differ, or the values are neither {0, 1} nor
            {0, 255}.
    """
    return _read(path, decode_mask)


def decode_grey(content: bytes) -> Grey:
    """`read_grey` for the bytes of a file; messages do not name the file."""
    return to_grey(_decode(content))


def to_grey(pixels: Shaped[np.ndarray, "..."]) -> Grey:
    """Grey values of decoded pixels, of a file or of a frame of a video, by the rule above.

    Args:
        pixels: uint8 or uint16; (H, W), or (H, W, 3) or (H, W, 4) in OpenCV's channel order (blue,
            green, red, alpha).

    Raises:
        DataError: another dtype or shape.
    """
    _check_depth(pixels)
    if pixels.ndim == 2:
        return pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise DataError(f"expected (H, W) or (H, W, 3 or 4), got shape {pixels.shape}")
    blue, green, red = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    grey: Grey = ((RED * red + GREEN * green + BLUE * blue + 500) // 1000).astype(pixels.dtype)
    return grey


def decode_values(content: bytes) -> Grey:
    """Grey values of the bytes of a file whose values are numbers, not light: a score map.

    Args:
        content: of the file.

    Raises:
        DataError: as `read_grey`; or the channels differ, or pixels are transparent. Messages do
            not name the file.
    """
    pixels = _decode(content)
    if pixels.ndim == 3 and not bool(np.all(pixels[..., 3:] == np.iinfo(pixels.dtype).max)):
        raise DataError("expected opaque pixels, got transparency; export grey values alone")
    return _one_channel(pixels, "grey values")


def decode_mask(content: bytes) -> UInt8[np.ndarray, "h w"]:
    """`read_mask` for the bytes of a file; messages do not name the file."""
    pixels = _one_channel(_decode(content), "a mask")
    values = np.unique(pixels)
    if not (set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, 255}):
        shown = ", ".join(str(value) for value in values[:6])
        raise DataError(
            "expected a binary mask with values 0 and 1, or 0 and 255; "
            f"got {values.size} values ({shown}{', ...' if values.size > 6 else ''}); "
            "threshold it by the rule its authors state, then add it again"
        )
    return (pixels > 0).astype(np.uint8)


def stated_size(file: BinaryIO) -> tuple[int, int]:
    """Height and width that a PNG, BMP or TIFF file states, read before its pixels are decoded.

    Args:
        file: open at its beginning; of a TIFF file the first page counts.

    Raises:
        DataError: another kind of file, or its header is damaged; the message does not name it.
    """
    head = file.read(26)
    try:
        if head.startswith(PNG) and head[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", head, 16)
        elif head.startswith(BMP):
            is_short = head[14:18] == struct.pack("<I", 12)  # the header of OS/2
            form = "<HH" if is_short else "<ii"
            width, height = struct.unpack_from(form, head, 18)
        elif head[:4] in TIFF:
            width, height = _tiff_size(file, head)
        else:
            raise DataError(
                "expected a PNG, BMP or TIFF image, but it is damaged or of another kind; save it "
                "again"
            )
    except struct.error as error:
        raise DataError("expected an image, but its header is damaged; copy it again") from error
    return abs(height), width  # BMP: negative if the first row comes first


def count_pages(path: Path) -> int:
    """Images in a file; several in a TIFF of more than one page.

    Raises:
        DataError: OpenCV refuses the file.
    """
    try:
        with _quiet():
            return cv2.imcount(str(path))
    except cv2.error as error:
        raise _refused(error) from error


def _read(path: Path, decode: Callable[[bytes], Grey]) -> Grey:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: expected an image file, but it cannot be read: {error.strerror}"
        ) from error
    try:
        return decode(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _decode(content: bytes) -> Shaped[np.ndarray, "..."]:
    """Decode to (H, W), or (H, W, 3 or 4) in OpenCV's order (blue, green, red, alpha)."""
    if not content:
        raise DataError("expected an image, but the file is empty; copy it again")
    try:
        with _quiet():
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _refused(error) from error
    if pixels is None:
        raise DataError(
            "expected a PNG, TIFF, BMP or JPEG image, but it is damaged or of another kind; "
            "copy it again"
        )
    _check_depth(pixels)
    return pixels


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV writes nothing of its own about a damaged file: our message says it."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _one_channel(pixels: Shaped[np.ndarray, "..."], what: str) -> Grey:
    """(H, W) of decoded pixels whose colours are equal; alpha is dropped.

    Raises:
        DataError: they differ.
    """
    if pixels.ndim == 2:
        return pixels
    if not bool(np.all(pixels[..., 1:3] == pixels[..., :1])):
        raise DataError(
            f"expected {what} with equal channels, got colours; export it as a grey image"
        )
    return np.ascontiguousarray(pixels[..., 0])


def _tiff_size(file: BinaryIO, head: bytes) -> tuple[int, int]:
    """Width and height in the first directory; `struct.error` where the file ends."""
    order = TIFF[head[:4]]
    file.seek(*struct.unpack_from(f"{order}I", head, 4))
    (count,) = struct.unpack(f"{order}H", file.read(2))
    found: dict[int, int] = {}
    for _ in range(count):
        entry = file.read(12)
        tag, kind = struct.unpack_from(f"{order}HH", entry)
        if tag in (TIFF_WIDTH, TIFF_HEIGHT):
            (value,) = struct.unpack_from(f"{order}{'H' if kind == TIFF_SHORT else 'I'}", entry, 8)
            found.setdefault(tag, value)
    if len(found) < 2:
        raise DataError("expected a TIFF image, but it states no size; save it again")
    return found[TIFF_WIDTH], found[TIFF_HEIGHT]


def _check_depth(pixels: Shaped[np.ndarray, "..."]) -> None:
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"expected 8 or 16 bits per channel, got {pixels.dtype}; convert it to 16-bit PNG"
        )


def _refused(error: cv2.error) -> DataError:
    """The reason why OpenCV does not even begin to decode: size, memory."""
    return DataError(
        f"expected an image that OpenCV can decode, but it refuses the file ({error.err}); "
        "copy it again, or split it into smaller images"
    )
