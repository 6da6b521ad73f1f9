"""Overlapping windows over an image that is larger than a network takes, and their blending."""

import numpy as np
from jaxtyping import Float32

Size = tuple[int, int]
OVERLAP = 0.25
"""Smallest share of a window's side that it has in common with its neighbour."""


def window_starts(size: Size, window: Size) -> tuple[Size, ...]:
    """Upper left corners (row, col) of windows that cover an image, evenly spread.

    Args:
        size: (height, width) of the image; a side below the window's counts as the window's.
        window: (height, width) of the windows.
    """
    rows, cols = (_starts(side, part) for side, part in zip(size, window, strict=True))
    return tuple((row, col) for row in rows for col in cols)


def cut(image: np.ndarray, window: Size, starts: tuple[Size, ...]) -> np.ndarray:
    """(..., H, W) to (n, ..., h, w), with zeros where the image ends before a window does."""
    height, width = window
    missing = [max(0, part - side) for side, part in zip(image.shape[-2:], window, strict=True)]
    padding = [(0, 0)] * (image.ndim - 2) + [(0, rows) for rows in missing]
    padded = np.pad(image, padding)
    return np.stack([padded[..., r : r + height, c : c + width] for r, c in starts])


def blend(
    maps: Float32[np.ndarray, "n h w"], starts: tuple[Size, ...], size: Size
) -> Float32[np.ndarray, "..."]:
    """Mean of the windows' maps, weighted by the distance to the window's border.

    Args:
        maps: one map per window.
        starts: what `window_starts` returned.
        size: (height, width) of the result.
    """
    height, width = maps.shape[1:]
    weight = np.minimum.outer(_ramp(height), _ramp(width))
    rows, cols = (
        max(start[axis] for start in starts) + part for axis, part in enumerate((height, width))
    )
    total, weights = np.zeros((rows, cols)), np.zeros((rows, cols))
    for values, (row, col) in zip(maps, starts, strict=True):
        total[row : row + height, col : col + width] += weight * values
        weights[row : row + height, col : col + width] += weight
    return (total / weights)[: size[0], : size[1]].astype(np.float32)


def _starts(side: int, window: int) -> list[int]:
    if side <= window:
        return [0]
    count = 1 + int(np.ceil((side - window) / (window * (1 - OVERLAP))))
    return [round(start) for start in np.linspace(0, side - window, count)]


def _ramp(length: int) -> np.ndarray:
    steps = np.arange(1, length + 1)
    return np.minimum(steps, steps[::-1])
