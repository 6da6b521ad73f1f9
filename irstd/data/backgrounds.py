"""Backgrounds of the generated source: sky with clouds, sea with glint, ground with buildings.

Texture comes from Gaussian fields with a power-law spectrum S(f) ~ f^-exponent, the usual model of
natural clutter (Itakura, Tsutsumi, Takagi, "Statistical properties of the background noise for the
atmospheric windows in the intermediate infrared region", Infrared Physics 14, 1974; van der Schaaf,
van Hateren, "Modelling the power spectra of natural images", Vision Research 36, 1996). Grey values
are relative: the exposure that `generated` draws sets their scale.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.random import Generator
from scipy.special import expit

Field = Float[np.ndarray, "h w"]
Shape = tuple[int, int]


def power_law_field(rng: Generator, shape: Shape, exponent: float, stretch: float = 1.0) -> Field:
    """Gaussian field with power spectrum f^-exponent, zero mean and unit standard deviation.

    Args:
        rng: source of the white noise that is filtered.
        shape: (height, width) in pixels.
        exponent: slope of the power spectrum; 2 is rough ground, 3.5 soft cloud.
        stretch: how many times longer structures are along rows than along columns.

    Returns:
        (H, W) field, periodic at its borders.
    """
    height, width = shape
    rows = np.fft.fftfreq(height)[:, None]
    cols = np.fft.rfftfreq(width)[None, :] * stretch
    frequency = np.hypot(rows, cols)
    frequency[0, 0] = np.inf  # drops the mean
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * frequency ** (-exponent / 2)
    field = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(field / field.std())


def sky(rng: Generator, shape: Shape) -> Field:
    """Clear sky that warms towards the horizon, behind clouds with soft, bright rims."""
    gradient = rng.uniform(0.0, 0.2) * np.linspace(0.0, 1.0, shape[0])[:, None]
    cover = power_law_field(rng, shape, rng.uniform(3.2, 3.8)) - rng.uniform(-0.5, 1.0)
    clouds = expit(rng.uniform(4.0, 10.0) * cover)
    texture = 1.0 + 0.25 * power_law_field(rng, shape, 2.8)
    return np.asarray(
        rng.uniform(0.08, 0.45) + gradient + rng.uniform(0.1, 0.35) * clouds * texture
    )


def sea(rng: Generator, shape: Shape) -> Field:
    """Waves drawn out along rows, with a vertical corridor of glint."""
    height, width = shape
    waves = rng.uniform(0.015, 0.04) * power_law_field(rng, shape, 2.0, rng.uniform(2.0, 4.0))
    gradient = rng.uniform(-0.15, 0.15) * np.linspace(0.0, 1.0, height)[:, None]
    centre, spread = rng.uniform(0.0, width), rng.uniform(0.08, 0.2) * width
    corridor = np.exp(-0.5 * ((np.arange(width) - centre) / spread) ** 2)[None, :]
    sparkle = np.maximum(power_law_field(rng, shape, 1.2, 3.0) - 0.8, 0.0)
    return np.asarray(
        rng.uniform(0.2, 0.5) + gradient + waves + rng.uniform(0.05, 0.16) * corridor * sparkle
    )


def ground(rng: Generator, shape: Shape) -> Field:
    """Rough ground with a road and buildings, warmer or colder than what surrounds them."""
    scene = rng.uniform(0.2, 0.45) + rng.uniform(0.02, 0.05) * power_law_field(
        rng, shape, rng.uniform(2.2, 2.8)
    )
    long_side = float(max(shape))
    scene += rng.uniform(-0.12, 0.12) * rectangle(
        rng, shape, (2 * long_side, 2 * long_side), (2.0, 5.0)
    )
    for _ in range(rng.integers(3, 9)):
        scene += rng.uniform(-0.12, 0.25) * rectangle(rng, shape, (10.0, 40.0), (8.0, 25.0))
    return np.asarray(scene)


def rectangle(
    rng: Generator, shape: Shape, lengths_px: tuple[float, float], widths_px: tuple[float, float]
) -> Field:
    """A rotated rectangle of random place and size: 1 inside, 0 outside, edges blurred by a pixel.

    Args:
        rng: source of place, angle and size.
        shape: (height, width) of the image.
        lengths_px: least and greatest length.
        widths_px: least and greatest width.
    """
    angle = rng.uniform(0.0, np.pi)
    row, col = rng.uniform(0.0, shape[0]), rng.uniform(0.0, shape[1])
    along, across = rotated(shape, row, col, angle)
    inside_length = rng.uniform(*lengths_px) / 2 - np.abs(along)
    inside_width = rng.uniform(*widths_px) / 2 - np.abs(across)
    return np.asarray(expit(2.5 * np.minimum(inside_length, inside_width)))


def rotated(shape: Shape, row: float, col: float, angle: float) -> tuple[Field, Field]:
    """Coordinates of every pixel around (row, col) along and across a direction, in pixels."""
    rows, cols = np.arange(shape[0])[:, None] - row, np.arange(shape[1])[None, :] - col
    along = cols * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - cols * np.sin(angle)
    return along, across


BACKGROUNDS: dict[str, Callable[[Generator, Shape], Field]] = {
    "sky": sky,
    "sea": sea,
    "ground": ground,
}
