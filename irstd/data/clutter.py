"""Hot objects that are no targets: as bright as targets or brighter, but of another shape."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from irstd.data.backgrounds import Field, Shape, rectangle, rotated

HOT = (0.55, 1.0)
"""Level of a hot object, in fractions of full scale."""


def spot(rng: Generator, shape: Shape) -> Field:
    """An extended warm object: an elliptic Gaussian several times wider than a target."""
    return _gaussian(rng, shape, (4.5, 10.0), (3.5, 6.0), rng.uniform(0.0, np.pi))


def streak(rng: Generator, shape: Shape) -> Field:
    """A glint streak: a thin line, nearly along the rows."""
    return _gaussian(rng, shape, (5.0, 14.0), (0.7, 1.3), rng.normal(0.0, 0.1))


def block(rng: Generator, shape: Shape) -> Field:
    """A hot roof: a bright rectangle with straight edges."""
    return rectangle(rng, shape, (8.0, 20.0), (6.0, 12.0))


def pixels(rng: Generator, shape: Shape) -> Field:
    """A few hot pixels of the detector: single values without the blur of the optics."""
    image = np.zeros(shape)
    count = rng.integers(2, 6)
    image[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = rng.uniform(
        0.4, 1.0, count
    )
    return image


def _gaussian(
    rng: Generator,
    shape: Shape,
    along_px: tuple[float, float],
    across_px: tuple[float, float],
    angle: float,
) -> Field:
    along, across = rotated(shape, rng.uniform(0.0, shape[0]), rng.uniform(0.0, shape[1]), angle)
    squared = (along / rng.uniform(*along_px)) ** 2 + (across / rng.uniform(*across_px)) ** 2
    return np.asarray(np.exp(-0.5 * squared))


CLUTTER: dict[str, tuple[Callable[[Generator, Shape], Field], ...]] = {
    "sky": (spot, pixels),
    "sea": (spot, streak, streak, pixels),
    "ground": (spot, block, block, pixels),
}


def add_clutter(rng: Generator, scene: Field, background: str, count: int) -> Field:
    """Cover a scene with `count` hot objects that occur with its background.

    Args:
        rng: source of kinds, places, sizes and levels.
        scene: (H, W), fractions of full scale.
        background: key of `CLUTTER`.
        count: number of objects.

    Returns:
        (H, W): the scene, drawn towards the level of each object by the object's coverage.
    """
    kinds = CLUTTER[background]
    for kind in rng.integers(0, len(kinds), count):
        coverage = kinds[kind](rng, scene.shape)
        scene = scene + coverage * (rng.uniform(*HOT) - scene)
    return scene
