"""A sheet of sample images with their targets outlined."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt8

from irstd.data.store import PreparedData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTLINE = "#00e5ff"


def sample_rows(data: PreparedData, count: int) -> Int64[np.ndarray, " n"]:
    """Rows for a sheet: evenly spaced in the order of background and id, so all kinds appear."""
    order = data.index.sort_values(["background", "id"], na_position="last").index.to_numpy()
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
    rows: Int64[np.ndarray, " n"] = order[places]
    return rows


def draw_samples(data: PreparedData, rows: Int64[np.ndarray, " n"], columns: int = 4) -> "Figure":
    """Draw images in a grid; each caption names id, split, size, background and SCR per target.

    Args:
        data: prepared images.
        rows: which of them.
        columns: images in a row of the sheet.
    """
    from matplotlib.figure import Figure

    lines = -(-len(rows) // columns)
    shown = data.index.iloc[rows]
    tallest = float((shown["height"] / shown["width"]).max())
    size = (3.2 * columns, (3.2 * tallest + 0.6) * lines)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, row in zip(grid, rows, strict=False):
        _draw_one(axes, data, int(row))
    return figure


def outline(mask: UInt8[np.ndarray, "h w"]) -> list[list[tuple[float, float]]]:
    """Segments [(x, y), (x, y)] between target and other pixels; pixel centres are integers."""
    padded = np.pad(mask.astype(np.int8), 1)
    segments = [
        [(col - 1.5, row - 0.5), (col - 0.5, row - 0.5)]
        for row, col in np.argwhere(np.diff(padded, axis=0) != 0)
    ]
    segments += [
        [(col - 0.5, row - 1.5), (col - 0.5, row - 0.5)]
        for row, col in np.argwhere(np.diff(padded, axis=1) != 0)
    ]
    return segments


def _draw_one(axes: "Axes", data: PreparedData, row: int) -> None:
    from matplotlib.collections import LineCollection

    entry = data.index.iloc[row]
    axes.imshow(data.image(row), cmap="gray", interpolation="nearest")
    axes.add_collection(LineCollection(outline(data.mask(row)), colors=OUTLINE, linewidths=1.0))
    kind = "" if entry.isna()["background"] else f", {entry['background']}"
    ratios = ", ".join(f"{ratio:.1f}" for ratio in entry["scr"])
    targets = f"SCR {ratios}" if ratios else "no target"
    axes.set_title(
        f"{entry['id']} ({entry['split']}{kind})\n{entry['height']} x {entry['width']}, {targets}",
        fontsize=8,
    )
