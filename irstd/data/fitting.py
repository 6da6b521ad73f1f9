"""Images brought to one size: by interpolation, by averages, by ISPANet's *fill* (section III)."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8


def resize_bilinear(
    plane: Float32[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "..."]:
    """Interpolate between the four nearest pixels; an image of this size stays as it is.

    Training and inference both resize by this where a network is trained at one size, so that it
    is used on what it was trained on.

    Args:
        plane: (H, W), any range.
        size: (height, width) of the result.
    """
    if plane.shape == size:
        return plane
    resized: Float32[np.ndarray, ...] = cv2.resize(
        plane, (size[1], size[0]), interpolation=cv2.INTER_LINEAR
    )
    return resized


def resize_averaged(
    plane: Float32[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "..."]:
    """Average over areas along sides that shrink, interpolate linearly along sides that grow.

    For scales that are drawn, and for comparisons across sizes: they stand for sizes at which
    scenes are met, and an average keeps of a target of few pixels what a sensor would, wherever it
    stands. A size that inference brings images to is reached as there, by `resize_bilinear`.

    Args:
        plane: (H, W), any range.
        size: (height, width) of the result.
    """
    rows, cols = plane.shape
    if size[0] >= rows and size[1] >= cols:
        return resize_bilinear(plane, size)
    if size[0] > rows or size[1] > cols:  # OpenCV averages where both sides shrink, or neither
        plane = resize_bilinear(plane, (max(size[0], rows), max(size[1], cols)))
    resized: Float32[np.ndarray, ...] = cv2.resize(
        plane, (size[1], size[0]), interpolation=cv2.INTER_AREA
    )
    return resized


def fill_shape(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Shape of an image after padding at the bottom or the right to the aspect ratio of `size`.

    Args:
        height: rows of the image, in pixels.
        width: columns of the image, in pixels.
        size: (height, width) whose ratio is wanted.

    Returns:
        (height, width), one of them unchanged, the other rounded up to a whole pixel.
    """
    rows, cols = size
    return max(height, -(-width * rows // cols)), max(width, -(-height * cols // rows))


def fill_image(image: Float32[np.ndarray, "h w"], size: tuple[int, int]) -> np.ndarray:
    """Pad with zeros to the aspect ratio of `size`, then resize bilinearly to `size`.

    Args:
        image: (H, W), any range.
        size: (height, width) of the result.
    """
    return resize_bilinear(_pad(image, fill_shape(image.shape[0], image.shape[1], size)), size)


def fill_mask(mask: UInt8[np.ndarray, "h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "..."]:
    """The same for a mask of 0 and 1, by nearest neighbour, so that it stays binary."""
    padded = _pad(mask, fill_shape(mask.shape[0], mask.shape[1], size))
    filled: UInt8[np.ndarray, ...] = cv2.resize(
        padded, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return filled


def _pad(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    rows, cols = shape[0] - array.shape[0], shape[1] - array.shape[1]
    return np.pad(array, ((0, rows), (0, cols)))
