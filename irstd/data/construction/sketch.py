"""Proposals among very many images: sketches of their structure, hashed so that near ones meet.

Let a be the deviations of the pixels of a window from their mean, times the square roots of the
window's weights, so that a.a = sigma_x^2, and b those of another image. With
A = a / sqrt(2 sigma_x^2 + C2), and B in the same way, |A - B|^2 <= 1 - S wherever S >= 0: the
vectors (a, c) and (b, c) with c^2 = C2 / 2 have a cosine that is not below S, as a geometric mean
is not above an arithmetic one, and 1 minus a cosine is half the squared distance of unit vectors.

One pixel of each window, drawn by the weights, gives |A - B|^2 over all windows in expectation. The
sketch of these pixels has `DIMENSIONS` numbers and keeps squared distances up to a relative
standard deviation of sqrt(2 / DIMENSIONS) (Weinberger et al., "Feature hashing for large scale
multitask learning", ICML 2009). Sketches meet in one of `TABLES` hash tables of `KEYS` rounded
random projections each (Datar et al., "Locality-sensitive hashing scheme based on p-stable
distributions", SCG 2004).

Unlike `bound`, this can miss a pair; the chance is stated at the constants, and
`benchmarks/near_duplicates.py` measures it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from irstd.data.construction.ssim import C2, RADIUS_PX, WEIGHTS, Image, window_statistics
from irstd.data.pixels import to_unit

DIMENSIONS = 256

TOLERANCE = 1.5
"""Squared distances of sketches count as near up to this many times 1 - threshold: above five
standard deviations of the sketch."""

KEYS, TABLES, WIDTH = 20, 800, 4.0
"""Projections per table, tables, and width of rounding in distances sqrt(1 - threshold). Two images
at that distance share a key with probability 0.80, a table with 0.0116, none with 1e-4."""

CHUNK = 65_536  # pairs compared at a time

Sketch = Float32[np.ndarray, "n 256"]


class Draws(NamedTuple):
    """For each window a pixel (its place in the flattened image), a sign and a bin."""

    pixels: Int64[np.ndarray, " windows"]
    signs: Float64[np.ndarray, " windows"]
    bins: Int64[np.ndarray, " windows"]


def sketch(images: Iterable[Image]) -> Sketch:
    """Sketch images of one size.

    Args:
        images: (H, W) each, at least 11 x 11.
    """
    draws: Draws | None = None
    sketches = []
    for image in images:
        draws = draws or _draw(image.shape)
        mean, variance = window_statistics(image)
        drawn = to_unit(image).ravel()[draws.pixels] - mean.ravel()
        structure = draws.signs * drawn / np.sqrt(2.0 * variance.ravel() + C2)
        sketches.append(np.bincount(draws.bins, structure, DIMENSIONS))
    return np.asarray(sketches, np.float32)


def near_pairs(sketches: Sketch, threshold: float) -> Int64[np.ndarray, "pairs 2"]:
    """Pairs (i, j), i < j, that may have a similarity above the threshold; sorted.

    Args:
        sketches: of images of one size.
        threshold: of the SSIM.
    """
    limit = TOLERANCE * (1.0 - threshold)
    rng = np.random.default_rng(1)
    found: set[tuple[int, int]] = set()
    for _ in range(TABLES):
        codes = _codes(sketches, WIDTH * np.sqrt(1.0 - threshold), rng)
        for first, second in _meetings(codes):
            for start in range(0, len(first), CHUNK):
                i, j = first[start : start + CHUNK], second[start : start + CHUNK]
                near = ((sketches[i] - sketches[j]) ** 2).sum(axis=1) <= limit
                found.update(zip(i[near].tolist(), j[near].tolist(), strict=True))
    pairs = np.array(sorted(found), np.int64)
    return pairs.reshape(-1, 2)


def _draw(shape: tuple[int, ...]) -> Draws:
    """What is drawn for each window of images of one shape; always the same."""
    rng = np.random.default_rng(0)
    height, width = shape[0] - 2 * RADIUS_PX, shape[1] - 2 * RADIUS_PX
    rows, cols = (rng.choice(len(WEIGHTS), (height, width), p=WEIGHTS) for _ in range(2))
    pixels = (rows + np.arange(height)[:, None]) * shape[1] + cols + np.arange(width)
    signs = rng.choice([-1.0, 1.0], pixels.size) / np.sqrt(pixels.size)
    return Draws(pixels.ravel(), signs, rng.integers(0, DIMENSIONS, pixels.size))


def _codes(sketches: Sketch, width: float, rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    """One number for the keys of each sketch in a new table; different keys rarely share one."""
    directions = rng.standard_normal((DIMENSIONS, KEYS), dtype=np.float32)
    keys = np.floor(sketches @ directions / width + rng.random(KEYS)).astype(np.int64)
    factors = rng.integers(1, 2**62, KEYS) | 1
    return np.asarray((keys * factors).sum(axis=1))


def _meetings(
    codes: Int64[np.ndarray, " n"],
) -> Iterator[tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]]:
    """All pairs i < j with one code."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    places, step = np.arange(len(codes)), 1
    while True:
        places = places[places + step < len(codes)]
        places = places[ordered[places] == ordered[places + step]]
        if not places.size:
            return
        yield order[places], order[places + step]  # stable: the first is the smaller one
        step += 1
