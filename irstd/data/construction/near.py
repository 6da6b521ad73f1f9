"""Images that nearly equal others: a bound, a sketch or a hash proposes, SSIM decides.

| images | proposed by | can miss a pair |
|---|---|---|
| of one size, up to `EXACT_UP_TO` | `bound`, from block means | no |
| of one size, more | `sketch`, then `bound` | with the probability stated there |
| of two sizes | perceptual hashes within some bits (`duplicates`) | yes |

SSIM compares images of one size, so of two sizes both are averaged down to the smaller height and
the smaller width. Images too small for a window of SSIM are near none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Shaped, UInt64

from irstd.data.construction.bound import Summaries
from irstd.data.construction.sketch import Sketch, Tables, near_pairs, sketch
from irstd.data.construction.spread import spread
from irstd.data.construction.ssim import SIDE_PX, similar, ssim
from irstd.data.duplicates import name_partners, perceptual_hash
from irstd.data.fitting import resize_averaged
from irstd.data.pixels import Grey, to_unit
from irstd.errors import DataError

EXACT_UP_TO = 4096
"""Greatest number of images of one size among which no pair is missed."""

BLOCK = 64
"""Images that are compared at a time with those kept before them, and then with each other."""

AnyGrey = Shaped[np.ndarray, "_ _"]
"""Grey values of any size, so that images differ in it."""
Places = Int64[np.ndarray, " k"]
Propose = Callable[[int], Places]
"""Places in a group that may be near a place of it."""
Allowed = Callable[[Places], Bool[np.ndarray, " k"]]
"""Which of some images one is compared with."""


class Group(NamedTuple):
    """Images of one size.

    Attributes:
        rows: their positions among all images.
        summaries: of them.
        sketches: of them; None if the bound alone proposes.
    """

    rows: Places
    summaries: Summaries
    sketches: Sketch | None


class NearImages:
    """Finds images that are similar to others.

    Args:
        images: (H, W) each, uint8 or uint16; None for one that cannot be read, which is near none.
        lowest: least threshold that will be asked for.
        hash_bits: largest Hamming distance of the 64-bit hashes of images of two sizes that SSIM
            compares.
        exact_up_to: number of images of one size above which sketches propose.
        workers: threads that read and compare; None for one per core.
    """

    def __init__(
        self,
        images: Sequence[AnyGrey | None],
        lowest: float,
        hash_bits: int,
        exact_up_to: int = EXACT_UP_TO,
        workers: int | None = None,
    ) -> None:
        """Summarise every image."""
        self._lowest, self._bits, self._workers = lowest, hash_bits, workers
        self._images = [None if image is None else _windowed(image) for image in images]
        shapes = [(0, 0) if image is None else image.shape for image in self._images]
        sizes: Int64[np.ndarray, "sizes 2"]
        sizes, self._size = np.unique(shapes, axis=0, return_inverse=True)
        self._groups = {
            size: self._group(np.flatnonzero(self._size == size), exact_up_to)
            for size in range(len(sizes))
            if sizes[size].any()
        }
        self._hashes = self._hash_all() if len(self._groups) > 1 else None

    def pairs(self, threshold: float, parts: Sequence[object]) -> Int64[np.ndarray, "pairs 2"]:
        """Pairs (i, j), i < j, of images of two parts whose SSIM is above the threshold; sorted.

        Args:
            threshold: of the SSIM.
            parts: part of each image.

        Raises:
            DataError: the threshold is below `lowest`.
        """
        self._check([threshold])
        codes = np.unique(np.asarray(parts, dtype=object), return_inverse=True)[1]
        propose = {size: self._pairs_of(size, threshold, codes) for size in self._groups}

        def later(row: int) -> list[tuple[int, int]]:
            def allowed(others: Places) -> Bool[np.ndarray, " k"]:
                return np.asarray((others > row) & (codes[others] != codes[row]))

            return [(row, other) for other in self._partners(row, threshold, allowed, propose)]

        found = spread(later, range(len(self._images)), self._workers)
        return np.array(sorted(pair for some in found for pair in some), np.int64).reshape(-1, 2)

    def distinct(self, thresholds: Sequence[float], most: int = 1) -> Iterator[list[int]]:
        """Keep or drop each image in turn: dropped is what nearly equals one kept before it.

        Args:
            thresholds: for each image the SSIM with a kept one above which it is dropped.
            most: kept images that are named for one that is dropped.

        Yields:
            For each image the positions of kept ones that it nearly equals; none if it is kept.

        Raises:
            DataError: a threshold is below `lowest`.
        """
        self._check(thresholds)
        tables = self._tables()
        propose = {
            size: tables[size].near if size in tables else self._bounded(size, self._lowest)
            for size in self._groups
        }
        kept = np.zeros(len(self._images), dtype=bool)

        def partners(row: int, among: Bool[np.ndarray, " n"]) -> list[int]:
            found = self._partners(row, thresholds[row], lambda others: among[others], propose)
            return list(islice(found, most))

        for start in range(0, len(kept), BLOCK):
            before, block = kept.copy(), range(start, min(start + BLOCK, len(kept)))
            earlier = spread(partial(partners, among=before), block, self._workers)
            for row, found in zip(block, earlier, strict=True):
                near = [*found, *partners(row, kept & ~before)][:most]
                kept[row] = not near
                if kept[row] and self._size[row] in tables:
                    tables[self._size[row]].put(self._place(row))
                yield near

    def _check(self, thresholds: Sequence[float]) -> None:
        if thresholds and min(thresholds) < self._lowest:
            raise DataError(
                f"expected an SSIM threshold of at least {self._lowest}, for which the images were "
                f"summarised, got {min(thresholds)}; summarise them for the lower one"
            )

    def _group(self, rows: Places, exact_up_to: int) -> Group:
        images = [image for row in rows if (image := self._images[row]) is not None]
        sketches = sketch(images, self._workers) if len(rows) > exact_up_to else None
        return Group(rows, Summaries(images, self._workers), sketches)

    def _hash_all(self) -> UInt64[np.ndarray, " n"]:
        hashes = spread(_hash, self._images, self._workers)
        return np.array(hashes, np.uint64)

    def _tables(self) -> dict[int, Tables]:
        """Empty hash tables for each size whose images have sketches."""
        return {
            size: Tables(group.sketches, self._lowest, self._workers)
            for size, group in self._groups.items()
            if group.sketches is not None
        }

    def _place(self, row: int) -> int:
        """Place of an image in its group."""
        return int(np.searchsorted(self._groups[self._size[row]].rows, row))

    def _bounded(self, size: int, threshold: float) -> Propose:
        summaries = self._groups[size].summaries
        _ = summaries.buckets  # before threads ask for them
        return partial(summaries.proposals, threshold=threshold)

    def _pairs_of(self, size: int, threshold: float, parts: Places) -> Propose:
        """For each image of a size later ones, at least those of other parts that are near."""
        group = self._groups[size]
        if group.sketches is None:
            return self._bounded(size, threshold)
        first, second = near_pairs(group.sketches, threshold, parts[group.rows]).T

        def later(place: int) -> Places:
            start, stop = np.searchsorted(first, [place, place + 1])
            return np.asarray(second[start:stop])

        return later

    def _partners(
        self, row: int, threshold: float, allowed: Allowed, propose: Mapping[int, Propose]
    ) -> Iterator[int]:
        """Images whose SSIM with one is above the threshold, one by one, likely ones first."""
        image = self._images[row]
        if image is None:
            return
        group, place = self._groups[self._size[row]], self._place(row)
        proposed = propose[self._size[row]](place)
        proposed = proposed[allowed(group.rows[proposed])]
        found, missing = group.summaries.candidates(place, proposed, threshold)
        for other, lacking in zip(group.rows[found].tolist(), missing, strict=True):
            second = self._images[other]
            if second is not None and similar(image, second, threshold, lacking):
                yield other
        others = self._of_other_sizes(row)
        for other in others[allowed(others)].tolist():
            second = self._images[other]
            if second is not None and similar(*_at_one_size(image, second), threshold):
                yield other

    def _of_other_sizes(self, row: int) -> Places:
        """Images of other sizes with a hash near that of one."""
        if self._hashes is None:
            return np.empty(0, np.int64)
        near = np.bitwise_count(self._hashes ^ self._hashes[row]) <= self._bits
        return np.flatnonzero(near & (self._size != self._size[row]))


def similarity(first: Grey, second: AnyGrey) -> float:
    """SSIM of two images of any sizes, those of `NearImages`.

    Args:
        first: (H, W), uint8 or uint16.
        second: another one.

    Raises:
        DataError: no window of SSIM fits into both.
    """
    return ssim(*_at_one_size(first, second))


def similar_elsewhere(
    near: NearImages,
    values: Sequence[str | None],
    splits: Sequence[str],
    ids: Sequence[str],
    threshold: float,
) -> list[str | None]:
    """For each image, which images of other splits nearly equal it.

    Args:
        near: the images.
        values: checksum of each image; equal images are `shared_elsewhere`'s and left out here.
        splits: split of each image.
        ids: id of each image.
        threshold: of the SSIM.

    Returns:
        Ids of partners in other splits as text, None where there is none.
    """
    partners: list[list[int]] = [[] for _ in ids]
    for first, second in near.pairs(threshold, splits).tolist():
        if values[first] != values[second]:
            partners[first].append(second)
            partners[second].append(first)
    return [name_partners([ids[other] for other in sorted(found)]) for found in partners]


def _windowed(image: Grey) -> Grey | None:
    """The image, or None where it holds no window of SSIM."""
    return image if min(image.shape) >= SIDE_PX else None


def _hash(image: Grey | None) -> int:
    return 0 if image is None else perceptual_hash(image)


def _at_one_size(first: Grey, second: AnyGrey) -> tuple[np.ndarray, np.ndarray]:
    """Both images at the smaller height and the smaller width, so that none is enlarged."""
    rows, cols = (min(first.shape[axis], second.shape[axis]) for axis in (0, 1))
    one, other = (  # averages of the greatest value may exceed it by their rounding
        np.clip(resize_averaged(to_unit(image), (rows, cols)), 0.0, 1.0)
        for image in (first, second)
    )
    return one, other
