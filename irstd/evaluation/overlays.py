"""An image with its hits, misses and false alarms marked, one of them enlarged in a corner.

Each kind has a colour, a shape, a line style and a letter, so none depends on colour alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Shaped

from irstd.data.sheet import outline
from irstd.evaluation.subjects import Kind, Subject
from irstd.metrics.components import Components
from irstd.metrics.counts import ImageCounts, figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = Literal["-", "--", ":", "-."]

WIDTH_IN, DPI = 6.5, 110
INSET_SHARE = 0.36  # of the axes
INSET_MARGIN_PX = (2, 10)  # least and largest margin around the subject
INSET_ZOOM = 2.0  # at least, where the least margin allows it
CORNERS: Mapping[tuple[bool, bool], Literal["NE", "NW", "SE", "SW"]] = {
    (False, False): "SE",
    (False, True): "SW",
    (True, False): "NE",
    (True, True): "NW",
}
"""Corner farthest from a subject, by (in the lower half, in the right half)."""
MARK_MARGIN, MARK_LIMIT = 0.02, 0.05  # of the longer side
GREY_RANGE = (0.5, 99.8)  # percentiles shown as black and white


@dataclass(frozen=True)
class Style:
    """How a kind is marked."""

    letter: str
    label: str
    colour: str
    line: Line
    marker: str
    corners: int


STYLES: Mapping[Kind, Style] = {
    "hit": Style("H", "hit", "#00d26a", "-", "s", 4),
    "miss": Style("M", "missed target", "#ff453a", "--", "o", 64),
    "false_alarm": Style("F", "false alarm", "#ffd60a", ":", "^", 3),
}
PREDICTION_COLOUR = "#ffffff"


def draw_overlay(
    image: Shaped[np.ndarray, "h w"], counts: ImageCounts, subject: Subject
) -> "Figure":
    """Draw one image.

    Args:
        image: (H, W) grey values.
        counts: what was found in it.
        subject: what is enlarged in the corner farthest from it.
    """
    from matplotlib.figure import Figure

    height, width = image.shape
    shown_height = WIDTH_IN * float(np.clip(height / width, 0.4, 1.6))
    figure = Figure(figsize=(WIDTH_IN, shown_height + 0.9), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    low, high = np.percentile(image, GREY_RANGE)
    grey = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1e-6), "interpolation": "nearest"}
    axes.imshow(image, **grey)
    axes.set_axis_off()
    for kind, components, position in _marked(counts):
        _mark(axes, components, position, kind)
    _enlarge(axes, image, counts, subject, grey)
    axes.set_title(caption(counts, subject), fontsize=8)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def caption(counts: ImageCounts, subject: Subject) -> str:
    """Two lines: the subject and its figures; the figures of the image."""
    found = figures(counts.row)
    false = int(found["n_predicted"]) - len(counts.pairs)
    return (
        f"{subject.id}: {STYLES[subject.kind].label} at {subject.text}\n"
        f"in this image: targets {int(found['n_targets'])}, hit {len(counts.pairs)}, "
        f"false alarms {false}, IoU {float(found['iou']):.2f}"
    )


def _marked(counts: ImageCounts) -> Iterator[tuple[Kind, Components, int]]:
    """Every target and every predicted component without one."""
    hit, matched = counts.pairs[:, 0], counts.pairs[:, 1]
    for position in range(counts.targets.count):
        yield ("hit" if position in hit else "miss"), counts.targets, position
    for position in range(counts.predicted.count):
        if position not in matched:
            yield "false_alarm", counts.predicted, position


def _mark(axes: "Axes", components: Components, position: int, kind: Kind) -> None:
    """Draw the shape of the kind around a component, and its letter beside it."""
    from matplotlib.patches import RegularPolygon

    style = STYLES[kind]
    height, width = components.labels.shape
    top, left, bottom, right = components.boxes[position].tolist()
    x, y = (left + right - 1) / 2, (top + bottom - 1) / 2
    size = min(0.75 * max(bottom - top, right - left), MARK_LIMIT * max(height, width))
    radius = size + MARK_MARGIN * max(height, width)
    turn = {3: np.pi, 4: np.pi / 4}.get(style.corners, 0.0)  # rows count downwards
    shape = RegularPolygon((x, y), style.corners, radius=radius, orientation=turn, fill=False)
    shape.set(edgecolor=style.colour, linestyle=style.line, linewidth=1.6, path_effects=_halo())
    axes.add_patch(shape)
    side = 1 if x + radius < 0.96 * width else -1
    axes.text(
        x + side * radius,
        float(np.clip(y - radius, 0.04 * height, height - 1)),
        style.letter,
        color=style.colour,
        fontsize=9,
        fontweight="bold",
        horizontalalignment="left" if side == 1 else "right",
        path_effects=_halo(),
    )


def _enlarge(
    axes: "Axes",
    image: Shaped[np.ndarray, "h w"],
    counts: ImageCounts,
    subject: Subject,
    grey: dict[str, Any],
) -> None:
    """Show the surroundings of the subject in a corner, with outlines that follow the pixels."""
    height, width = image.shape
    is_right, is_low = subject.col > width / 2, subject.row > height / 2
    corner = (0.0 if is_right else 1.0 - INSET_SHARE, 1.0 - INSET_SHARE if is_low else 0.0)
    inset = axes.inset_axes((*corner, INSET_SHARE, INSET_SHARE))
    inset.set_anchor(CORNERS[is_low, is_right])
    inset.imshow(image, **grey)
    inset.set(xticks=[], yticks=[])
    for kind, components, position in _marked(counts):
        style = STYLES[kind]
        _outline(inset, components.labels == position + 1, style.colour, style.line, 2.2)
    matched = np.isin(counts.predicted.labels, counts.pairs[:, 1] + 1)
    _outline(inset, matched, PREDICTION_COLOUR, "-.", 1.1)
    top, left, bottom, right = subject.box
    side = _window_px(max(bottom - top, right - left), min(height, width))
    first_row = float(np.clip(subject.row - side / 2, -0.5, height - 0.5 - side))
    first_col = float(np.clip(subject.col - side / 2, -0.5, width - 0.5 - side))
    inset.set_xlim(first_col, first_col + side)
    inset.set_ylim(first_row + side, first_row)
    for spine in inset.spines.values():
        spine.set(color=STYLES[subject.kind].colour, linewidth=1.5)
    axes.indicate_inset_zoom(inset, edgecolor=STYLES[subject.kind].colour, alpha=0.8)


def _window_px(subject_px: int, image_px: int) -> float:
    """Side of the enlarged window, for a subject and an image of these (shorter) sides."""
    least, largest = (subject_px + 2 * margin for margin in INSET_MARGIN_PX)
    return float(min(max(least, min(largest, INSET_SHARE * image_px / INSET_ZOOM)), image_px))


def _outline(
    axes: "Axes", mask: Bool[np.ndarray, "h w"], colour: str, line: str, width: float
) -> None:
    from matplotlib.collections import LineCollection

    segments = outline(mask.view(np.uint8))
    axes.add_collection(
        LineCollection(segments, colors=colour, linestyles=line, linewidths=width),
        autolim=False,
    )


def _halo() -> list[Any]:
    """A dark rim that keeps marks visible on bright clouds."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3.0, foreground="#000000")]


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    entries: list[tuple[str, Line, str, str]] = [
        *((s.colour, s.line, s.marker, f"{s.letter} {s.label}") for s in STYLES.values()),
        (PREDICTION_COLOUR, "-.", "", "matched prediction (enlarged part)"),
    ]
    return [
        Line2D(
            [],
            [],
            color=colour,
            linestyle=line,
            marker=marker,
            fillstyle="none",
            label=label,
            path_effects=_halo(),
        )
        for colour, line, marker, label in entries
    ]
