"""Ground truth that is not a mask: boxes, points and the outlines of COCO."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from irstd.data.sources import Origin
from irstd.errors import DataError

MAX_MARKS = 1 << 16
"""Most marks of one image."""

MAX_TESTS = 1 << 32
"""Most pixels that the marks of one image may cover, those of polygons once for each corner: some
seconds."""

Polygons = tuple[tuple[float, ...], ...]
Mask = UInt8[np.ndarray, "h w"]


@dataclass(frozen=True)
class Runs:
    """Run lengths of COCO: pixels column by column, off and on in turn, beginning with off."""

    size: tuple[int, int]
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Marks:
    """What an annotation states about one image.

    Attributes:
        origin: "boxes" or "points", from which only detection can be measured; "pixels" if every
            target has an outline.
        places: (top, left, bottom, right) of each box, half-open, or (row, col) of each point.
        outlines: of each target, polygons x0, y0, x1, y1, ... whose coordinates are those of pixel
            corners, or run lengths; empty unless the origin is "pixels".
        are_fractions: the places are fractions of height and width, not pixels.
        size: (height, width) the annotation claims, None if it claims none.
    """

    origin: Origin
    places: tuple[tuple[float, ...], ...] = ()
    outlines: tuple[Polygons | Runs, ...] = ()
    are_fractions: bool = False
    size: tuple[int, int] | None = None


def draw(marks: Marks, shape: tuple[int, int]) -> Mask:
    """Pixels of the marked targets, (H, W): boxes filled, points as one pixel, outlines filled.

    From boxes and points this is a help for training, no ground truth of shape.

    Raises:
        DataError: a mark lies outside the image, the annotation claims another size, or drawing
            it would take too long (`MAX_MARKS`, `MAX_TESTS`).
    """
    _check_effort(marks, shape)
    if marks.size is not None and marks.size != shape:
        raise DataError(
            f"expected the image's size {shape[0]} x {shape[1]}, the annotation claims "
            f"{marks.size[0]} x {marks.size[1]}"
        )
    mask = np.zeros(shape, np.uint8)
    for outline in marks.outlines:
        if not _fill(mask, outline):
            raise DataError("expected outlines that enclose pixels, got one that encloses none")
    if marks.origin == "boxes":
        for top, left, bottom, right in pixel_boxes(marks, shape):
            rows = slice(int(top), max(int(np.ceil(bottom)), int(top) + 1))
            mask[rows, int(left) : max(int(np.ceil(right)), int(left) + 1)] = 1
    if marks.origin == "points":
        for row, col in centres(marks, shape):
            mask[round(row), round(col)] = 1
    return mask


def _check_effort(marks: Marks, shape: tuple[int, int]) -> None:
    """Refuse marks that would take more than seconds to draw, before any is drawn."""
    count, tests = len(marks.places), 0
    if marks.origin == "boxes" and count <= MAX_MARKS:
        boxes = pixel_boxes(marks, shape)
        tests = int(np.sum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    for outline in marks.outlines:
        polygons = () if isinstance(outline, Runs) else outline
        count += max(1, len(polygons))
        tests += sum(len(p) // 2 * _area(p, shape) for p in polygons) or shape[0] * shape[1]
    if count > MAX_MARKS or tests > MAX_TESTS:
        raise DataError(
            f"expected at most {MAX_MARKS} marks that cover {MAX_TESTS} pixels (of a polygon once "
            f"for each corner), got {count} that cover {tests}"
        )


def _area(polygon: Sequence[float], shape: tuple[int, int]) -> int:
    rows, cols = _window(polygon, shape)
    return int((rows.stop - rows.start) * (cols.stop - cols.start))


def _window(polygon: Sequence[float], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the box around a polygon, inside the image."""
    points = np.array(polygon, dtype=np.float64).reshape(-1, 2)[:, ::-1]
    low = np.clip(np.floor(points.min(axis=0)), 0, shape).astype(int).tolist()
    high = np.clip(np.ceil(points.max(axis=0)), low, shape).astype(int).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1])


def centres(marks: Marks, shape: tuple[int, int]) -> list[tuple[float, float]]:
    """(row, col) of each marked target, pixel centres at integers.

    A half-open box from a to b has its centre at (a + b - 1) / 2.

    Raises:
        DataError: one lies outside the image.
    """
    if marks.origin == "boxes":
        boxes = pixel_boxes(marks, shape)
        return [((t + b - 1) / 2, (left + r - 1) / 2) for t, left, b, r in boxes.tolist()]
    points = [(float(row), float(col)) for row, col in marks.places]
    for row, col in points:
        if not (-0.5 <= row < shape[0] - 0.5 and -0.5 <= col < shape[1] - 0.5):
            raise DataError(
                f"expected points inside the image of {shape[0]} x {shape[1]}, got row {row:g}, "
                f"column {col:g}; points count from 0"
            )
    return points


def pixel_boxes(marks: Marks, shape: tuple[int, int]) -> Float64[np.ndarray, "n 4"]:
    """Boxes (top, left, bottom, right) in pixels, half-open, clipped at the border.

    Raises:
        DataError: nothing of a box is left.
    """
    boxes = np.array(marks.places, dtype=np.float64).reshape(-1, 4)
    if marks.are_fractions:
        boxes *= [*shape, *shape]
    clipped = np.clip(boxes, 0.0, [*shape, *shape])
    empty = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
    if empty.any():
        shown = ", ".join(f"{side:g}" for side in boxes[np.argmax(empty)])
        raise DataError(
            f"expected boxes with an area inside the image of {shape[0]} x {shape[1]}, got "
            f"(top, left, bottom, right) = ({shown})"
        )
    return clipped


def _fill(mask: Mask, outline: Polygons | Runs) -> bool:
    """Add the pixels of a target; tell whether there are any."""
    shape = mask.shape
    if isinstance(outline, Runs):
        if outline.size != shape or sum(outline.lengths) != shape[0] * shape[1]:
            raise DataError(
                f"expected run lengths that cover {shape[0]} x {shape[1]} pixels, got "
                f"{sum(outline.lengths)} for {outline.size[0]} x {outline.size[1]}"
            )
        values = np.arange(len(outline.lengths), dtype=np.uint8) % 2
        mask |= np.repeat(values, outline.lengths).reshape(shape[1], shape[0]).T
        return any(outline.lengths[1::2])
    filled = False
    for polygon in outline:
        window, inside = inside_polygon(polygon, shape)
        mask[window] |= inside
        filled |= bool(inside.any())
    return filled


def inside_polygon(
    corners: Sequence[float], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], Bool[np.ndarray, "h w"]]:
    """Pixels whose centre lies in a polygon, by the even-odd rule; pixel x covers [x, x + 1).

    Args:
        corners: x0, y0, x1, y1, ... in pixels.
        shape: (height, width).

    Returns:
        Rows and columns of the box around it inside the image, and which of its pixels are inside.
    """
    points = np.array(corners, dtype=np.float64).reshape(-1, 2)
    window = _window(corners, shape)
    y, x = (np.arange(side.start, side.stop) + 0.5 for side in window)
    y, inside = y[:, None], np.zeros((len(y), len(x)), dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return window, inside
