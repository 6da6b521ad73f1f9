"""One test image three times: as it is, with its ground truth, with its prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from irstd.data.sheet import outline
from irstd.evaluation.overlays import GREY_RANGE, STYLES
from irstd.evaluation.subjects import Kind

Box = tuple[int, int, int, int]

WIDTH_IN, DPI = 13.5, 110
PIXELS = "#ffffff"
HALO = [withStroke(linewidth=3.0, foreground="#000000")]  # keeps marks visible on bright clouds
ZOOM_MARGIN_PX = 16


@dataclass(frozen=True)
class Mark:
    """A target or a false alarm.

    Attributes:
        kind: hit, miss or false alarm.
        box: (top, left, bottom, right) in pixels, half-open.
    """

    kind: Kind
    box: Box


def draw_panels(
    image: np.ndarray,
    mask: np.ndarray,
    predicted: np.ndarray,
    marks: Sequence[Mark],
    view: Box | None,
) -> bytes:
    """Draw image, ground truth and prediction side by side.

    Args:
        image: (H, W) grey values.
        mask: (H, W), ground truth, 0 or 1.
        predicted: (H, W), prediction, bool.
        marks: everything found or missed in the image.
        view: a box to enlarge with its surroundings; None shows the whole image.

    Returns:
        A PNG file.
    """
    height, width = image.shape
    shape = 1.0 if view else float(np.clip(height / width, 0.4, 1.6))
    figure = Figure(figsize=(WIDTH_IN, WIDTH_IN / 3 * shape + 0.8), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, 3)
    low, high = np.percentile(image, GREY_RANGE)
    for axes, title in zip(panels, ("image", "ground truth", "prediction"), strict=True):
        axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
        if view is not None:
            _look_at(axes, view, image.shape)
    _trace(panels[1], mask, [mark for mark in marks if mark.kind != "false_alarm"])
    _trace(panels[2], predicted, marks)
    legend = {"facecolor": "#303030", "labelcolor": "white", "fontsize": 9}
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, **legend)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _trace(axes: Axes, pixels: np.ndarray, marks: Sequence[Mark]) -> None:
    """Outline the pixels; frame each mark in its colour and line style, with its letter."""
    lines = LineCollection(outline(pixels.astype(np.uint8)), colors=PIXELS, linewidths=0.8)
    axes.add_collection(lines, autolim=False)
    margin = 1.5 + 0.01 * max(pixels.shape)
    for mark in marks:
        style = STYLES[mark.kind]
        top, left, bottom, right = mark.box
        corner = (left - 0.5 - margin, top - 0.5 - margin)
        size = (right - left + 2 * margin, bottom - top + 2 * margin)
        frame = Rectangle(*(corner, *size), fill=False, edgecolor=style.colour)
        frame.set(linestyle=style.line, linewidth=1.8, path_effects=HALO)
        axes.add_patch(frame)
        axes.annotate(
            style.letter,
            (corner[0] + size[0], corner[1]),
            color=style.colour,
            fontsize=11,
            fontweight="bold",
            annotation_clip=True,
            path_effects=HALO,
        )


def _look_at(axes: Axes, view: Box, shape: tuple[int, ...]) -> None:
    """Show the surroundings of a box, moved inside the image where they would reach out of it."""
    top, left, bottom, right = view
    side = min(max(bottom - top, right - left) + 2 * ZOOM_MARGIN_PX, *shape)
    first_row = int(np.clip((top + bottom - side) // 2, 0, shape[0] - side))
    first_col = int(np.clip((left + right - side) // 2, 0, shape[1] - side))
    axes.set_xlim(first_col - 0.5, first_col + side - 0.5)
    axes.set_ylim(first_row + side - 0.5, first_row - 0.5)


def _legend() -> list[Line2D]:
    styles = [(s.colour, s.line, f"{s.letter}  {s.label}") for s in STYLES.values()]
    styles.append((PIXELS, "-", "pixels of the ground truth or the prediction"))
    return [Line2D([], [], color=c, linestyle=line, label=text) for c, line, text in styles]
