"""Structural similarity of two images, exactly, or just as far as a decision needs it.

For each window of 11 x 11 pixels with Gaussian weights of standard deviation 1.5, on grey values in
[0, 1] (Wang et al., "Image quality assessment: from error visibility to structural similarity",
IEEE TIP 13(4), 2004, eqs. 6, 9 and 13 to 16; ISPANet, section III, names SSIM without settings):

    S = (2 mu_x mu_y + C1) (2 sigma_xy + C2) / ((mu_x^2 + mu_y^2 + C1) (sigma_x^2 + sigma_y^2 + C2))

with C1 = 0.01^2 and C2 = 0.03^2. The similarity of two images is the mean over all windows that
lie inside them (eq. 17).
"""

import cv2
import numpy as np
from jaxtyping import Float64, Shaped

from irstd.data.pixels import to_unit
from irstd.errors import DataError

RADIUS_PX, SIGMA_PX = 5, 1.5
"""How far a window reaches from its centre; standard deviation of its weights."""

SIDE_PX = 2 * RADIUS_PX + 1

C1, C2 = 0.01**2, 0.03**2

STRIP_ROWS = 32
"""Rows of windows between two looks at a decision."""

Map = Float64[np.ndarray, "rows cols"]
"""A value per window."""
Image = Shaped[np.ndarray, "h w"]
"""Grey values as `to_unit` takes them."""

WEIGHTS = np.exp(-0.5 * (np.arange(-RADIUS_PX, RADIUS_PX + 1) / SIGMA_PX) ** 2)
WEIGHTS /= WEIGHTS.sum()
"""Of a window along one axis."""


def ssim(first: Image, second: Image) -> float:
    """Mean structural similarity, in [-1, 1].

    Args:
        first: (H, W), uint8, uint16 or floating in [0, 1]; at least 11 x 11.
        second: another one of this size, possibly of another dtype.

    Raises:
        DataError: the sizes differ, or no window fits.
    """
    rows, cols = _windows(first, second)
    strips = (_strip_sum(first, second, strip) for strip in range(-(-rows // STRIP_ROWS)))
    return sum(strips) / (rows * cols)


def similar(
    first: Image,
    second: Image,
    threshold: float,
    missing: Float64[np.ndarray, " strips"] | None = None,
) -> bool:
    """Whether `ssim` is above the threshold, without computing more of it than that takes.

    No window has a similarity above 1, so the answer is no as soon as the windows seen lack, with
    what the others lack at least, (1 - threshold) times the number of all windows. The strips in
    which `missing` is greatest come first.

    Args:
        first: as for `ssim`.
        second: as for `ssim`.
        threshold: in [-1, 1].
        missing: for each strip of `STRIP_ROWS` rows of windows a lower bound of the sum of 1 - S;
            None where nothing is known.

    Raises:
        DataError: the sizes differ, or no window fits.
    """
    rows, cols = _windows(first, second)
    if missing is None:
        missing = np.zeros(-(-rows // STRIP_ROWS))
    allowance = (1.0 - threshold) * rows * cols - missing.sum()
    for strip in np.argsort(-missing, kind="stable").tolist():
        strip_windows = min(STRIP_ROWS, rows - strip * STRIP_ROWS) * cols
        allowance -= strip_windows - _strip_sum(first, second, strip) - missing[strip]
        if allowance <= 0.0:
            return False
    return True


def window_statistics(image: Image) -> tuple[Map, Map]:
    """Weighted mean and variance of each window, (H - 10, W - 10) each.

    Raises:
        DataError: no window fits.
    """
    _windows(image, image)
    unit = to_unit(image).astype(np.float64)
    mean = _windowed(unit)
    return mean, np.maximum(_windowed(unit * unit) - mean * mean, 0.0)


def _strip_sum(first: Image, second: Image, strip: int) -> float:
    """Sum of the similarities in one strip; a strip fits into a processor's cache."""
    pixels = slice(strip * STRIP_ROWS, (strip + 1) * STRIP_ROWS + 2 * RADIUS_PX)
    return float(_similarities(first[pixels], second[pixels]).sum())


def _similarities(first: Image, second: Image) -> Map:
    """Similarity of each window."""
    x, y = to_unit(first).astype(np.float64), to_unit(second).astype(np.float64)
    mean_x, mean_y = _windowed(x), _windowed(y)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = _windowed(x * y) - product
    variances = _windowed(x * x + y * y) - squares
    numerator = (2.0 * product + C1) * (2.0 * covariance + C2)
    return np.asarray(numerator / ((squares + C1) * (variances + C2)))


def _windowed(values: Float64[np.ndarray, "h w"]) -> Map:
    """Weighted mean over each window inside the array."""
    inside = slice(RADIUS_PX, -RADIUS_PX)
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_64F, WEIGHTS, WEIGHTS)[inside, inside])


def _windows(first: Image, second: Image) -> tuple[int, int]:
    """Rows and columns of windows."""
    if first.shape != second.shape:
        raise DataError(
            f"expected two images of one size for SSIM, got {first.shape} and {second.shape}; "
            "resize one of them first"
        )
    if min(first.shape) < SIDE_PX:
        raise DataError(
            f"expected images of at least {SIDE_PX} x {SIDE_PX} px for SSIM, got "
            f"{first.shape[0]} x {first.shape[1]}; leave them out or enlarge them"
        )
    return first.shape[0] - 2 * RADIUS_PX, first.shape[1] - 2 * RADIUS_PX
