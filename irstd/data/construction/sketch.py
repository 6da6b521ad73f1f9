"""Proposals among very many images: sketches of their structure, hashed so that near ones meet.

Let a be the deviations of the pixels of a window from their mean, times the square roots of the
window's weights, so that a.a = sigma_x^2, and b those of another image. With
A = a / sqrt(2 sigma_x^2 + C2), and B in the same way, |A - B|^2 <= 1 - S wherever S >= 0: the
vectors (a, c) and (b, c) with c^2 = C2 / 2 have a cosine that is not below S, as a geometric mean
is not above an arithmetic one, and 1 minus a cosine is half the squared distance of unit vectors.
Where S < 0 the cosine may be the lower one, by the luminance that S has as a factor and the cosine
has not; 1 minus a cosine is at most 2 there and 1 - S above 1, so |A - B|^2 <= 2 (1 - S).

One pixel of each window, drawn by the weights, gives |A - B|^2 over all windows in expectation. The
sketch of these pixels has `DIMENSIONS` numbers and keeps squared distances up to a relative
standard deviation of sqrt(2 / DIMENSIONS) (Weinberger et al., "Feature hashing for large scale
multitask learning", ICML 2009). Sketches meet in one of `TABLES` hash tables of `KEYS` rounded
random projections each (Datar et al., "Locality-sensitive hashing scheme based on p-stable
distributions", SCG 2004).

Unlike `bound`, this can miss a pair. The chance at the constants holds for pairs without windows of
S < 0. A similar pair can have a share of them up to 1 - threshold: regions whose structure is
inverted. Where these are dark in one image and bright in the other, so that S is just below 0, the
pair is at up to twice the distance and rather lost than found. `benchmarks/near_duplicates.py`
counts what is lost.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from irstd.data.construction.spread import spread
from irstd.data.construction.ssim import C2, RADIUS_PX, WEIGHTS, Image, window_statistics
from irstd.data.pixels import to_unit

DIMENSIONS = 256

TOLERANCE = 1.5
"""Squared distances of sketches count as near up to this many times 1 - threshold: above five
standard deviations of the sketch."""

KEYS, TABLES, WIDTH = 20, 800, 4.0
"""Projections per table, tables, and width of rounding in distances sqrt(1 - threshold). Two images
at that distance share a key with probability 0.80, a table with 0.0116, none with 1e-4."""

CHUNK = 16_384  # pairs compared at a time

Sketch = Float32[np.ndarray, "n 256"]


class Draws(NamedTuple):
    """For each window a pixel (its place in the flattened image), a sign and a bin."""

    pixels: Int64[np.ndarray, " windows"]
    signs: Float64[np.ndarray, " windows"]
    bins: Int64[np.ndarray, " windows"]


class Tables:
    """Hash tables into which images are put one by one.

    An image is compared with those put in before it alone, however many others are near it. Takes
    12 bytes per image and table, of which 4 are touched only for images that are put in.

    Args:
        sketches: of images of one size.
        threshold: of the SSIM.
        workers: threads that compute the buckets; None for one per core.
    """

    def __init__(self, sketches: Sketch, threshold: float, workers: int | None = 1) -> None:
        """Compute the bucket of every image in every table; all are empty."""
        self._sketches, self._limit = sketches, TOLERANCE * (1.0 - threshold)
        self._buckets = np.empty((len(sketches), TABLES), np.int32)
        self._last = np.zeros((TABLES, len(sketches)), np.int32)  # place + 1, as in _previous
        self._previous = np.zeros((len(sketches), TABLES), np.int32)

        def fill(table: int) -> None:
            codes = _codes(sketches, threshold, table)
            self._buckets[:, table] = np.unique(codes, return_inverse=True)[1]

        spread(fill, range(TABLES), workers)

    def put(self, place: int) -> None:
        """Put an image in."""
        at = np.arange(TABLES), self._buckets[place]
        self._previous[place] = self._last[at]
        self._last[at] = place + 1

    def near(self, place: int) -> Int64[np.ndarray, " k"]:
        """Places of images put in that may be similar to an image, in order."""
        tables = np.arange(TABLES)
        others = self._last[tables, self._buckets[place]]
        met: list[np.ndarray] = [np.empty(0, np.int64)]
        while others.any():
            tables, others = tables[others > 0], others[others > 0] - 1
            met.append(others)
            others = self._previous[others, tables]
        places = np.unique(np.concatenate(met)).astype(np.int64)
        near = _near(self._sketches, np.full_like(places, place), places, self._limit)
        return np.asarray(places[near])


def sketch(images: Sequence[Image], workers: int | None = 1) -> Sketch:
    """Sketch images of one size.

    Args:
        images: (H, W) each, at least 11 x 11.
        workers: threads that read them; None for one per core.
    """
    draws = _draw(images[0].shape)

    def one(image: Image) -> Float32[np.ndarray, " 256"]:
        mean, variance = window_statistics(image)
        drawn = to_unit(image).ravel()[draws.pixels] - mean.ravel()
        structure = draws.signs * drawn / np.sqrt(2.0 * variance.ravel() + C2)
        return np.bincount(draws.bins, structure, DIMENSIONS).astype(np.float32)

    return np.stack(spread(one, images, workers))


def near_pairs(
    sketches: Sketch, threshold: float, parts: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, "pairs 2"]:
    """Pairs (i, j), i < j, of two parts that may have a similarity above the threshold; sorted.

    Args:
        sketches: of images of one size.
        threshold: of the SSIM.
        parts: part of each image.
    """
    limit, count = TOLERANCE * (1.0 - threshold), len(sketches)
    found = np.empty(0, np.int64)  # i * count + j
    for table in range(TABLES):
        new = [
            pairs[_near(sketches, *np.divmod(pairs, count), limit)]
            for met in _meetings(_codes(sketches, threshold, table), parts)
            for pairs in [_without(met, found)]
        ]
        if any(pairs.size for pairs in new):
            found = np.sort(np.concatenate([found, *new]), kind="stable")
    return np.stack(np.divmod(found, count), axis=1)


def _draw(shape: tuple[int, ...]) -> Draws:
    """What is drawn for each window of images of one shape; always the same."""
    rng = np.random.default_rng(0)
    height, width = shape[0] - 2 * RADIUS_PX, shape[1] - 2 * RADIUS_PX
    rows, cols = (rng.choice(len(WEIGHTS), (height, width), p=WEIGHTS) for _ in range(2))
    pixels = (rows + np.arange(height)[:, None]) * shape[1] + cols + np.arange(width)
    signs = rng.choice([-1.0, 1.0], pixels.size) / np.sqrt(pixels.size)
    return Draws(pixels.ravel(), signs, rng.integers(0, DIMENSIONS, pixels.size))


def _codes(sketches: Sketch, threshold: float, table: int) -> Int64[np.ndarray, " n"]:
    """One number for the keys of each sketch in a table; different keys rarely share one."""
    rng = np.random.default_rng((1, table))
    width = WIDTH * np.sqrt(1.0 - threshold)
    directions = rng.standard_normal((DIMENSIONS, KEYS), dtype=np.float32)
    keys = np.floor(sketches @ directions / width + rng.random(KEYS)).astype(np.int64)
    return np.asarray(keys @ (rng.integers(1, 2**62, KEYS) | 1))


def _meetings(
    codes: Int64[np.ndarray, " n"], parts: Int64[np.ndarray, " n"]
) -> Iterator[Int64[np.ndarray, " k"]]:
    """All pairs i < j with one code and two parts, each once, as i * n + j."""
    order = np.lexsort((parts, codes))
    other_code = np.diff(codes[order]) != 0
    stop = _ends(other_code)
    counts = stop - _ends(other_code | (np.diff(parts[order]) != 0))
    total = np.cumsum(counts)  # the partners of a place follow the images of its part
    for start in range(0, int(total[-1]), CHUNK):
        pairs = np.arange(start, min(start + CHUNK, int(total[-1])))
        places = np.searchsorted(total, pairs, side="right")
        first, second = order[places], order[stop[places] - (total[places] - pairs)]
        yield np.minimum(first, second) * len(codes) + np.maximum(first, second)


def _ends(changes: np.ndarray) -> Int64[np.ndarray, " n"]:
    """For each place the end of its run, from where the next place differs."""
    ends = np.append(np.flatnonzero(changes) + 1, len(changes) + 1)
    return np.repeat(ends, np.diff(ends, prepend=0))


def _without(
    pairs: Int64[np.ndarray, " k"], found: Int64[np.ndarray, " pairs"]
) -> Int64[np.ndarray, " m"]:
    """Those not found before, sorted; `found` is sorted too."""
    pairs = np.sort(pairs)
    if not found.size:
        return pairs
    places = np.searchsorted(found, pairs)
    return np.asarray(pairs[found[np.minimum(places, len(found) - 1)] != pairs])


def _near(
    sketches: Sketch, first: Int64[np.ndarray, " k"], second: Int64[np.ndarray, " k"], limit: float
) -> np.ndarray:
    """Whether the squared distance of each pair is within the limit."""
    difference = sketches[first] - sketches[second]
    return np.asarray(np.einsum("kd,kd->k", difference, difference) <= limit)
