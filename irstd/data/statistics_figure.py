"""Histograms of a data set's targets and images (ISPANet, Fig. 8)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from irstd.data.statistics import FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 30
LEAST_RATIO = 1.01
LINEAR = ("height_px", "width_px")
COLUMNS = 4
COLOUR = "#444444"


def draw_statistics(
    targets: pd.DataFrame, per_image: "pd.Series[int]", classes: Mapping[str, int]
) -> "Figure":
    """Draw a histogram of each figure, of the targets per image, and of the classes.

    Args:
        targets: as `irstd.data.statistics.target_table` gives them.
        per_image: number of targets of each image.
        classes: number of images of each class.
    """
    from matplotlib.figure import Figure

    lines = -(-(len(FIGURES) + 2) // COLUMNS)
    figure = Figure(figsize=(3.4 * COLUMNS, 2.8 * lines), dpi=110, layout="constrained")
    grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes, (name, meaning) in zip(grid, FIGURES.items(), strict=False):
        _histogram(axes, targets[name].dropna().to_numpy(), meaning, name in LINEAR)
    counts, classed, *unused = grid[len(FIGURES) :]
    numbers = per_image.value_counts().sort_index()
    counts.bar(numbers.index, numbers.to_numpy(), color=COLOUR)
    counts.set(xlabel="targets of an image", ylabel="images")
    classed.bar(list(classes), list(classes.values()), color=COLOUR)
    classed.set(xlabel="class", ylabel="images")
    for axes in unused:
        axes.set_axis_off()
    return figure


def _histogram(axes: "Axes", values: np.ndarray, meaning: str, is_linear: bool) -> None:
    """Bins of one pixel, or of equal ratio: few targets are many times larger than most."""
    positive = values[values > 0]
    if not len(positive):
        axes.set_axis_off()
        return
    low, high = positive.min(), positive.max()
    if is_linear:
        bins = np.arange(low - 0.5, high + 1.0)
    else:
        bins = np.geomspace(low, max(high, low * LEAST_RATIO), BINS + 1)
        axes.set_xscale("log")
    axes.hist(positive, bins=bins.tolist(), color=COLOUR)
    axes.set(xlabel=meaning, ylabel="targets")
