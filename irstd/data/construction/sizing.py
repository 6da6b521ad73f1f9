"""Images of many sizes brought to one, by *fill* or *crop* (ISPANet, section III and Table III)."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from irstd.data.fitting import fill_image, fill_mask, resize_bilinear
from irstd.data.index import label_targets
from irstd.data.pixels import Grey, to_unit
from irstd.errors import DataError

Method = Literal["native", "fill", "crop"]
Mask = UInt8[np.ndarray, "h w"]


def unify(
    image: Grey, mask: Mask, method: Method, size: tuple[int, int]
) -> tuple[Grey, UInt8[np.ndarray, "..."]]:
    """Bring an image and its mask to one size; the mask stays binary.

    The image is resized bilinearly and rounded to its own dtype, the mask by nearest neighbour.

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
    shaped = fill_mask(mask, size) if method == "fill" else _nearest(mask, size)
    before, after = label_targets(mask)[1], label_targets(shaped)[1]
    if before != after:
        raise DataError(
            f"{method} to {size[0]} x {size[1]} would turn {before} targets into {after}; "
            "choose a larger size"
        )
    return result, shaped


def largest_crop(mask: Mask, size: tuple[int, int]) -> tuple[slice, slice]:
    """The largest crop with the aspect ratio of `size` that keeps every target whole.

    It has the image's height or its width. Of all its places it takes the one nearest to the
    middle.

    Args:
        mask: (H, W), 1 on target pixels.
        size: (height, width) whose ratio is wanted.

    Raises:
        DataError: the targets reach further than the crop.
    """
    height, width = mask.shape
    rows = min(height, width * size[0] // size[1])
    cols = min(width, height * size[1] // size[0])
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


def _nearest(mask: Mask, size: tuple[int, int]) -> UInt8[np.ndarray, "..."]:
    resized: UInt8[np.ndarray, ...] = cv2.resize(
        mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return resized
