"""The distribution functions of two batches, figure by figure."""

from typing import TYPE_CHECKING

import pandas as pd

from irstd.data.drift import FIGURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4
COLOURS = {"reference": "#444444", "new": "#d95f02"}


def draw_figures(measurements: pd.DataFrame) -> "Figure":
    """Draw the distribution function of each figure, one line per batch.

    Args:
        measurements: a row per image; column `batch` (`reference` or `new`) and those of `FIGURES`.
    """
    from matplotlib.figure import Figure

    lines = -(-len(FIGURES) // COLUMNS)
    figure = Figure(figsize=(3.4 * COLUMNS, 2.8 * lines), dpi=110, layout="constrained")
    grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes in grid[len(FIGURES) :]:
        axes.set_axis_off()
    for axes, (name, meaning) in zip(grid, FIGURES.items(), strict=False):
        for batch, colour in COLOURS.items():
            values = measurements.loc[measurements["batch"] == batch, name].dropna()
            if len(values):
                axes.ecdf(values, label=f"{batch} ({len(values)})", color=colour)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(meaning, fontsize=7)
        axes.legend(fontsize=7, loc="lower right") if axes.lines else axes.set_axis_off()
    return figure
