"""Images of many sizes brought to one, by *fill* or *crop* (ISPANet, section III and Table III)."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Int32, UInt8

from irstd.data.fitting import fill_image, fill_shape, resize_bilinear
from irstd.data.index import label_targets
from irstd.data.pixels import Grey, to_unit
from irstd.errors import DataError

Method = Literal["native", "fill", "crop"]
Mask = UInt8[np.ndarray, "h w"]
Labels = Int32[np.ndarray, "..."]


def unify(
    image: Grey, mask: Mask, method: Method, size: tuple[int, int]
) -> tuple[Grey, UInt8[np.ndarray, "..."]]:
    """Bring an image and its mask to one size; the mask stays binary.

    The image is resized bilinearly and rounded to its own dtype, the mask by nearest neighbour.
    Each target is followed by its number: it must give exactly one target again.

    Args:
        image: (H, W), uint8 or uint16.
        mask: (H, W) of 0 and 1.
        method: `fill` pads with zeros below or at the right to the aspect ratio, `crop` takes
            `largest_crop`, `native` changes nothing.
        size: (height, width) of the result, unused by `native`.

    Raises:
        DataError: no crop keeps every target whole, or targets would vanish, split or merge.
    """
    if method == "native":
        return image, mask
    if method == "crop":
        window = largest_crop(mask, size)
        image, mask = image[window], mask[window]
    scale = np.iinfo(image.dtype).max
    unit = to_unit(image)
    resized = fill_image(unit, size) if method == "fill" else resize_bilinear(unit, size)
    result = np.round(np.clip(resized, 0.0, 1.0) * np.float64(scale)).astype(image.dtype)
    labels, count = label_targets(mask)
    if method == "fill":
        rows, cols = fill_shape(mask.shape[0], mask.shape[1], size)
        labels = np.pad(labels, ((0, rows - mask.shape[0]), (0, cols - mask.shape[1])))
    shaped = cv2.resize(labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    losses = _losses(shaped, count)
    if losses:
        raise DataError(
            f"{method} to {size[0]} x {size[1]}: of {count} targets {losses}; choose a larger size"
        )
    return result, (shaped > 0).astype(np.uint8)


def largest_crop(mask: Mask, size: tuple[int, int]) -> tuple[slice, slice]:
    """The largest crop with the aspect ratio of `size` that keeps every target whole.

    It has the image's height or its width. Of all its places it takes the one nearest to the
    middle.

    Args:
        mask: (H, W), 1 on target pixels.
        size: (height, width) whose ratio is wanted.

    Raises:
        DataError: the targets reach further than the crop, or it would have no pixel.
    """
    height, width = mask.shape
    rows = min(height, width * size[0] // size[1])
    cols = min(width, height * size[1] // size[0])
    if not rows or not cols:
        raise DataError(
            f"{height} x {width} px have no crop as narrow as {size[0]} x {size[1]}; use the "
            "method fill, choose another size, or leave the image out"
        )
    along_rows = _place(np.asarray(mask.any(axis=1)), rows)
    along_cols = _place(np.asarray(mask.any(axis=0)), cols)
    if along_rows is None or along_cols is None:
        raise DataError(
            f"no crop of {rows} x {cols} px out of {height} x {width} keeps every target whole; "
            "use the method fill, or leave the image out"
        )
    return along_rows, along_cols


def _place(occupied: np.ndarray, length: int) -> slice | None:
    """Where a crop of some length lies along one axis so that it holds what is occupied."""
    start, places = (len(occupied) - length) // 2, np.flatnonzero(occupied)
    if places.size:
        if places[-1] - places[0] >= length:
            return None
        start = int(np.clip(start, places[-1] + 1 - length, places[0]))
    return slice(start, start + length)


def _losses(labels: Labels, count: int) -> str:
    """Which targets would not stay one target each, in words; empty if all do.

    Args:
        labels: number of the target at each pixel, from 1; 0 elsewhere.
        count: how many targets there were.
    """
    inside = labels > 0
    pieces, n_pieces = label_targets(inside.astype(np.uint8))
    pairs = np.unique(np.stack([labels[inside], pieces[inside]]), axis=1)
    per_target = np.bincount(pairs[0], minlength=count + 1)[1:]
    per_piece = np.bincount(pairs[1], minlength=n_pieces + 1)[1:]
    merged = np.unique(pairs[0][per_piece[pairs[1] - 1] > 1])
    counts = {
        "vanish": np.count_nonzero(per_target == 0),
        "split": np.count_nonzero(per_target > 1),
        "merge": merged.size,
    }
    return ", ".join(f"{number} would {what}" for what, number in counts.items() if number)
