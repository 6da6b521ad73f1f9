"""Images that nearly equal others: a bound, a sketch or a hash proposes, SSIM decides.

| images | proposed by | can miss a pair |
|---|---|---|
| of one size, up to `EXACT_UP_TO` | `bound`, from block means | no |
| of one size, more | `sketch`, then `bound` | with the probability stated there |
| of two sizes | perceptual hashes within some bits (`duplicates`) | yes |

SSIM compares images of one size, so of two sizes the larger image is resized to the smaller one,
bilinearly. Images too small for a window of SSIM are near none.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from irstd.data.construction.bound import Summaries
from irstd.data.construction.sketch import near_pairs, sketch
from irstd.data.construction.ssim import SIDE_PX, Image, similar
from irstd.data.duplicates import name_partners, perceptual_hash
from irstd.data.fitting import resize_bilinear
from irstd.data.pixels import Grey, to_unit
from irstd.errors import DataError

EXACT_UP_TO = 4096
"""Greatest number of images of one size among which no pair is missed."""


class Group(NamedTuple):
    """Images of one size.

    Attributes:
        summaries: of these images.
        pairs: (i, j) and (j, i) for each proposed pair, sorted; None if the bound alone proposes.
    """

    summaries: Summaries
    pairs: Int64[np.ndarray, "pairs 2"] | None


class NearImages:
    """Finds the images that are similar to one.

    Args:
        images: (H, W) each, uint8 or uint16; None for one that cannot be read, which is near none.
        lowest: least threshold that `partners` will be asked for.
        hash_bits: largest Hamming distance of the 64-bit hashes of images of two sizes that SSIM
            compares.
        exact_up_to: number of images of one size above which sketches propose.
    """

    def __init__(
        self,
        images: Sequence[Grey | None],
        lowest: float,
        hash_bits: int,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        """Summarise every image."""
        self._lowest = lowest
        self._images = [None if image is None else _windowed(image) for image in images]
        self._bits = hash_bits
        shapes = [(0, 0) if image is None else image.shape for image in self._images]
        sizes: Int64[np.ndarray, "sizes 2"]
        sizes, self._size = np.unique(shapes, axis=0, return_inverse=True)
        self._rows = [np.flatnonzero(self._size == size) for size in range(len(sizes))]
        self._groups = {
            size: self._group(rows, exact_up_to)
            for size, rows in enumerate(self._rows)
            if sizes[size].any()
        }

    def partners(self, row: int, threshold: float, among: Bool[np.ndarray, " n"]) -> Iterator[int]:
        """Images whose SSIM with one is above the threshold, one by one, likely ones first.

        Args:
            row: position of the image.
            threshold: of the SSIM.
            among: images to compare with; the image itself never counts.

        Raises:
            DataError: the threshold is below `lowest`.
        """
        if threshold < self._lowest:
            raise DataError(
                f"expected an SSIM threshold of at least {self._lowest}, for which the images were "
                f"summarised, got {threshold}; summarise them for the lower one"
            )
        image = self._images[row]
        if image is None:
            return
        for other, missing in self._of_this_size(row, threshold):
            second = self._images[other]
            if among[other] and second is not None and similar(image, second, threshold, missing):
                yield other
        for other in self._of_other_sizes(row, among):
            second = self._images[other]
            if second is not None and similar(*_at_one_size(image, second), threshold):
                yield other

    def _group(self, rows: Int64[np.ndarray, " k"], exact_up_to: int) -> Group:
        images = [image for row in rows if (image := self._images[row]) is not None]
        summaries = Summaries(images)
        if len(rows) <= exact_up_to:
            return Group(summaries, None)
        pairs = near_pairs(sketch(images), self._lowest)
        both = np.concatenate([pairs, pairs[:, ::-1]])
        return Group(summaries, both[np.lexsort((both[:, 1], both[:, 0]))])

    def _of_this_size(
        self, row: int, threshold: float
    ) -> Iterator[tuple[int, Float64[np.ndarray, " strips"]]]:
        size = self._size[row]
        rows, (summaries, pairs) = self._rows[size], self._groups[size]
        place = int(np.searchsorted(rows, row))
        if pairs is None:
            proposed = summaries.proposals(place, threshold)
        else:
            start, stop = np.searchsorted(pairs[:, 0], [place, place + 1])
            proposed = pairs[start:stop, 1]
        found, missing = summaries.candidates(place, proposed, threshold)
        return zip(rows[found].tolist(), missing, strict=True)

    def _of_other_sizes(self, row: int, among: Bool[np.ndarray, " n"]) -> list[int]:
        others = among & (self._size != self._size[row])
        if not others.any():
            return []
        near = np.bitwise_count(self._hashes ^ self._hashes[row]) <= self._bits
        return np.flatnonzero(others & near).tolist()

    @cached_property
    def _hashes(self) -> UInt64[np.ndarray, " n"]:
        hashes = [0 if image is None else perceptual_hash(image) for image in self._images]
        return np.array(hashes, np.uint64)


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
    names, parts, sums = (np.asarray(column, dtype=object) for column in (ids, splits, values))
    partners: list[list[int]] = [[] for _ in ids]
    earlier = np.zeros(len(ids), dtype=bool)
    for row in range(len(ids)):
        among = earlier & (parts != parts[row]) & (sums != sums[row])
        for other in near.partners(row, threshold, among):
            partners[row].append(other)
            partners[other].append(row)
        earlier[row] = True
    return [name_partners(names[sorted(found)].tolist()) for found in partners]


def _windowed(image: Grey) -> Grey | None:
    """The image, or None where it holds no window of SSIM."""
    return image if min(image.shape) >= SIDE_PX else None


def _at_one_size(first: Grey, second: Grey) -> tuple[Image, Image]:
    """Both images at the size of the one with fewer pixels."""
    height, width = min(first.shape, second.shape, key=lambda shape: shape[0] * shape[1])
    size = int(height), int(width)
    return resize_bilinear(to_unit(first), size), resize_bilinear(to_unit(second), size)
