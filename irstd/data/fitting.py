"""Images brought to one size: bilinearly, and by the *fill* unification of ISPANet, section III."""

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
