"""Targets of the generated source: a point-spread function, scaled to a stated SCR."""

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator
from scipy.special import ndtr

from irstd.data.backgrounds import Field, Shape
from irstd.data.index import SCR_MARGIN_PX

Bits = Bool[np.ndarray, "h w"]

MASK_LEVEL = 0.25
"""The target is where the point-spread function exceeds this share of its brightest pixel."""

BORDER_PX = 6
"""Least distance of a target's centre to the border."""

SEPARATION_PX = 14
"""Least distance, along rows or columns, of a target's centre to the pixels of another target."""

BRIGHTEST = 0.85
"""No target is brighter, so that hot clutter often is (full scale is 1)."""


def point_spread(shape: Shape, row: float, col: float, sigma_px: float) -> Field:
    """Gaussian point-spread function integrated over each pixel, its brightest pixel scaled to 1.

    Args:
        shape: (height, width) in pixels.
        row: sub-pixel centre row.
        col: sub-pixel centre column.
        sigma_px: standard deviation before integration.
    """
    rows = _pixel_integral(np.arange(shape[0]) - row, sigma_px)
    cols = _pixel_integral(np.arange(shape[1]) - col, sigma_px)
    return np.asarray(np.outer(rows / rows.max(), cols / cols.max()))


def place_target(
    rng: Generator, image: Field, mask: Bits, scr: float, sigma_px: float
) -> tuple[Field, Bits] | None:
    """Try one random place for a target; see `target_at`."""
    height, width = image.shape
    row = rng.uniform(BORDER_PX, height - 1 - BORDER_PX)
    col = rng.uniform(BORDER_PX, width - 1 - BORDER_PX)
    return target_at((row, col), image, mask, scr, sigma_px)


def target_at(
    centre: tuple[float, float], image: Field, mask: Bits, scr: float, sigma_px: float
) -> tuple[Field, Bits] | None:
    """A target at a place.

    Args:
        centre: sub-pixel (row, col).
        image: (H, W) scene with sensor noise, fractions of full scale.
        mask: (H, W) pixels of the targets placed before.
        scr: wanted signal-to-clutter ratio.
        sigma_px: width of the point-spread function.

    Returns:
        What to add to the image and the target's pixels, or None where the place does not suit.
    """
    row, col = centre
    limits = [side - 1 - BORDER_PX for side in image.shape]
    inside = BORDER_PX <= row <= limits[0] and BORDER_PX <= col <= limits[1]
    if not inside or mask[_window((row, row), (col, col), SEPARATION_PX)].any():
        return None
    profile = point_spread(image.shape, row, col, sigma_px)
    target = profile > MASK_LEVEL
    factor = amplitude(image, profile, target, surroundings(target, mask), scr)
    if factor is None or (image + factor * profile)[target].max() > BRIGHTEST:
        return None
    return factor * profile, target


def surroundings(target: Bits, others: Bits) -> Bits:
    """Background of a target by the rule of `irstd.data.index.scr`, as pixels."""
    rows, cols = ((float(side.min()), float(side.max())) for side in np.nonzero(target))
    around = np.zeros_like(target)
    around[_window(rows, cols, SCR_MARGIN_PX)] = True
    return np.asarray(around & ~target & ~others)


def amplitude(image: Field, profile: Field, target: Bits, around: Bits, scr: float) -> float | None:
    """Factor a > 0 for which image + a * profile has the stated SCR.

    With means over target T and surroundings N, SCR = (mu_T - mu_N) / sigma_N. Both parts depend on
    a, because the skirt of the profile reaches into N. Squared, with d = mu_T - mu_N of image i and
    profile p:

        (d_p^2 - SCR^2 var_N p) a^2 + 2 (d_i d_p - SCR^2 cov_N(i, p)) a + d_i^2 - SCR^2 var_N i = 0

    Args:
        image: (H, W) without this target.
        profile: (H, W) point-spread function.
        target: (H, W) pixels T of this target.
        around: (H, W) pixels N.
        scr: wanted signal-to-clutter ratio, above 0.

    Returns:
        The factor, or None where no positive one makes a target with this SCR that is brighter than
        its surroundings.
    """
    (var_image, covariance), (_, var_profile) = np.cov(image[around], profile[around], bias=True)
    image_step = image[target].mean() - image[around].mean()
    profile_step = profile[target].mean() - profile[around].mean()
    quadratic = profile_step**2 - scr**2 * var_profile
    linear = image_step * profile_step - scr**2 * covariance
    root = linear**2 - quadratic * (image_step**2 - scr**2 * var_image)
    if quadratic <= 0 or root < 0:
        return None
    factor = float((-linear + np.sqrt(root)) / quadratic)
    return factor if factor > 0 and image_step + factor * profile_step > 0 else None


def _window(
    rows: tuple[float, float], cols: tuple[float, float], margin_px: int
) -> tuple[slice, slice]:
    top, left = max(round(rows[0]) - margin_px, 0), max(round(cols[0]) - margin_px, 0)
    return slice(top, round(rows[1]) + margin_px + 1), slice(left, round(cols[1]) + margin_px + 1)


def _pixel_integral(offsets: Float[np.ndarray, " n"], sigma_px: float) -> Float[np.ndarray, " n"]:
    return np.asarray(ndtr((offsets + 0.5) / sigma_px) - ndtr((offsets - 0.5) / sigma_px))
