"""Image and mask files as arrays of pixels.

Files are decoded with OpenCV: palettes become colours, 16-bit values stay exact, EXIF orientation
is ignored (a mask has none). An alpha channel is dropped. Colours become grey by the luma of ITU-R
BT.601-7, section 2.5.1, in integers, so that equal channels keep their value in 8 and 16 bit:

    grey = floor((299 R + 587 G + 114 B + 500) / 1000)
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt8
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from irstd.errors import DataError

RED, GREEN, BLUE = 299, 587, 114
"""Weights of ITU-R BT.601 in thousandths."""

Grey = Shaped[np.ndarray, "h w"]
"""Native grey values: uint8 or uint16, (H, W)."""

MAX_PIXELS = 1 << 25
"""Most pixels that a file of a data set may claim (5792 x 5792): decoding such a file, with four
channels of 16 bits, takes less than 1 GiB. The largest published image has 1918 x 1080."""

SCAN, MAX_SCANS = b"\xff\xda", 100
"""Marker of a JPEG's scan (ITU-T T.81, table B.1; coded data never hold it), and most scans that a
file may have: each takes a pass over all pixels."""

HEADERS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
)
"""First bytes of the accepted kinds of file, whatever their suffix, and what reads their header."""

TIFF_BITS, TIFF_ROWS_PER_STRIP = 258, 278
TIFF_TILE_WIDTH, TIFF_TILE_HEIGHT = 322, 323
ONE_STRIP = (1 << 32) - 1
"""Rows per strip of a TIFF (section 8 of revision 6.0) that is one strip."""

_EMPTY = "expected an image, but the file is empty; copy it again"
_NO_IMAGE = (
    "expected a PNG, TIFF, BMP or JPEG image, but it is damaged or of another kind; copy it again"
)


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
    total: Shaped[np.ndarray, "h w"] = np.full(pixels.shape[:2], 500, np.uint32)
    for channel, weight in enumerate((BLUE, GREEN, RED)):
        total += np.multiply(pixels[..., channel], weight, dtype=np.uint32)
    total //= 1000
    return total.astype(pixels.dtype)


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


def decode_mask(content: bytes, threshold: int | None = None) -> UInt8[np.ndarray, "h w"]:
    """`read_mask` for the bytes of a file; messages do not name the file.

    Args:
        content: of the file.
        threshold: pixels above it are the targets of a mask that is not binary (127 is usual);
            None refuses such a mask.
    """
    pixels = _one_channel(_decode(content), "a mask")
    values = np.unique(pixels)
    if not (set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, 255}):
        if threshold is not None:
            return (pixels > threshold).astype(np.uint8)
        shown = ", ".join(str(value) for value in values[:6])
        raise DataError(
            "expected a binary mask with values 0 and 1, or 0 and 255; "
            f"got {values.size} values ({shown}{', ...' if values.size > 6 else ''}); "
            "threshold it by the rule its authors state, then add it again"
        )
    return (pixels > 0).astype(np.uint8)


def read_header(content: bytes) -> tuple[int, int]:
    """Size that the header of an image file claims, before anything is decoded.

    Returns:
        (height, width) in pixels.

    Raises:
        DataError: no PNG, JPEG, BMP or TIFF, a damaged header, more than `MAX_PIXELS` (tiles and
            strips of a TIFF count as well), more than 16 bits per channel, several pages, or a
            JPEG of more than `MAX_SCANS` scans.
    """
    kind = next((kind for first, kind in HEADERS if content.startswith(first)), None)
    if kind is None:
        raise DataError(_NO_IMAGE if content else _EMPTY)
    if kind is JpegImageFile and content.count(SCAN) > MAX_SCANS:
        raise DataError(
            f"expected at most {MAX_SCANS} scans, got {content.count(SCAN)}; save it as PNG"
        )
    try:
        with kind(io.BytesIO(content)) as header:
            width, height = header.size
            tags = header.tag_v2 if isinstance(header, TiffImageFile) else {}
            pages = header.n_frames if isinstance(header, TiffImageFile) else 1
    except (SyntaxError, ValueError, OSError, OverflowError) as error:
        raise DataError(f"expected an image, but its header is damaged: {error}") from error
    bits = tags.get(TIFF_BITS, (8,))
    if max(bits) > 16:
        raise DataError(f"expected 8 or 16 bits per channel, got {max(bits)}; convert it to PNG")
    if pages > 1:
        raise DataError(f"expected one image, got {pages} pages; split the file into one per page")
    check_claim(height, width)
    check_claim(tags.get(TIFF_TILE_HEIGHT, 0), tags.get(TIFF_TILE_WIDTH, 0))
    rows = tags.get(TIFF_ROWS_PER_STRIP, ONE_STRIP)
    check_claim(0 if rows == ONE_STRIP else rows, width)
    return height, width


def check_claim(height: int, width: int) -> None:
    """Check a claimed size.

    Raises:
        DataError: more than `MAX_PIXELS`.
    """
    if height * width > MAX_PIXELS:
        raise DataError(
            f"expected at most {MAX_PIXELS} pixels, the file claims {height} x {width}; "
            "split it into smaller images"
        )


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


def write_png(path: Path, pixels: Shaped[np.ndarray, "..."]) -> None:
    """Write a PNG file and make its folder.

    Args:
        path: the file; its suffix decides nothing.
        pixels: uint8 or uint16; (H, W) or, in OpenCV's channel order, (H, W, 3).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


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
        raise DataError(_EMPTY)
    try:
        with _quiet():
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _refused(error) from error
    if pixels is None:
        raise DataError(_NO_IMAGE)
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
