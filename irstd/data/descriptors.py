"""Cheap figures of one image that need no network: its noise and its texture."""

import math

import cv2
import numpy as np
from jaxtyping import Float32, Float64

_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)

THUMBNAIL_PX = 64
OCTAVES, SECTORS = 5, 4
"""Rings of spatial frequency (1-2, 2-4, ..., 16-32 cycles) and directions of the texture."""

FAINTEST = 1e-6
"""What is no texture: a smaller spread of grey, and a smaller power where the thumbnail has 1."""


def noise_std(image: Float32[np.ndarray, "h w"]) -> float:
    """Standard deviation of the noise of an image, by Immerkaer's estimator.

        sigma = sqrt(pi / 2) / (6 (W - 2) (H - 2)) * sum |image * N|

    N is the difference of two Laplacians, which does not see planes and straight edges along rows
    or columns; other structure raises the figure.

    Args:
        image: (H, W), at least 3 x 3; the result has its unit.

    References:
        J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding
        64(2), 1996.
    """
    inner = cv2.filter2D(image, cv2.CV_32F, _LAPLACIANS)[1:-1, 1:-1]
    return math.sqrt(math.pi / 2) / 6 * float(np.abs(inner).mean())


def texture(image: Float32[np.ndarray, "h w"]) -> Float64[np.ndarray, " d"]:
    """Power of an image by spatial frequency and direction, whatever its brightness and contrast.

    The image is averaged to 64 x 64, brought to mean 0 and power 1 and windowed (Hann); then the
    logarithm of the mean power is taken in each of 5 octaves and 4 directions.

    Args:
        image: (H, W), in [0, 1].

    Returns:
        (20,), octave by octave; a constant image has the logarithm of `FAINTEST` everywhere.
    """
    side = (THUMBNAIL_PX, THUMBNAIL_PX)
    small = cv2.resize(image, side, interpolation=cv2.INTER_AREA).astype(np.float64)
    small -= small.mean()
    spread = small.std()
    small = small / spread if spread > FAINTEST else np.zeros_like(small)
    window = np.hanning(THUMBNAIL_PX)
    power = np.abs(np.fft.fft2(small * np.outer(window, window)) / small.size) ** 2
    sums = np.bincount(_CELLS, power.ravel(), OCTAVES * SECTORS + 1)
    counts = np.bincount(_CELLS, minlength=OCTAVES * SECTORS + 1)
    return np.log(sums[:-1] / counts[:-1] + FAINTEST)


def _cells() -> np.ndarray:
    """Cell of each frequency of the thumbnail; those outside of the octaves have the last one."""
    cycles = np.fft.fftfreq(THUMBNAIL_PX, 1 / THUMBNAIL_PX)
    rows, cols = np.meshgrid(cycles, cycles, indexing="ij")
    radius = np.hypot(rows, cols)
    octave = np.floor(np.log2(np.maximum(radius, 0.5))).astype(np.int64)
    sector = np.round(np.arctan2(rows, cols) / (np.pi / SECTORS)).astype(np.int64) % SECTORS
    inside = (octave >= 0) & (octave < OCTAVES)
    return np.where(inside, octave * SECTORS + sector, OCTAVES * SECTORS).ravel()


_CELLS = _cells()
