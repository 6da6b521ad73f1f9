"""An image with its hits, misses and false alarms marked, one of them enlarged beside it.

Each kind has a colour, a shape, a line style and a letter, so none depends on colour alone.
"""

from collections import defaultdict
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
PANEL_SHARE = 0.4  # side of the enlarged part over the width of the image
PANEL_MARGIN_PX = (2, 10)  # least and largest margin around the subject
PANEL_ZOOM = 2.0  # at least, where the least margin allows it
WINDOW_COLOUR = "#4cc2ff"
MARK_MARGIN, MARK_LIMIT = 0.02, 0.05  # of the longer side
LETTER_SHARE = 0.12  # room for a letter in the enlarged part
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
    """Draw one image, and one object of it enlarged in the upper right corner, beside the image.

    Args:
        image: (H, W) grey values.
        counts: what was found in it.
        subject: what is enlarged.
    """
    from matplotlib.figure import Figure

    height, width = image.shape
    size = WIDTH_IN * (1 + PANEL_SHARE), WIDTH_IN * float(np.clip(height / width, 0.4, 1.6)) + 0.9
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes, panel = figure.subplots(1, 2, width_ratios=(1, PANEL_SHARE))
    low, high = np.percentile(image, GREY_RANGE)
    for one in (axes, panel):
        limits = {"vmin": low, "vmax": max(high, low + 1e-6)}
        one.imshow(image, cmap="gray", interpolation="nearest", **limits)
        one.set_anchor("N")
    axes.set_axis_off()
    for kind, components, position in _marked(counts):
        _mark(axes, components, position, kind)
    _enlarge(panel, counts, _window(subject, (height, width)))
    _frame(axes, panel)
    figure.suptitle(caption(counts, subject), fontsize=9)
    _legend(figure)
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


def _enlarge(panel: "Axes", counts: ImageCounts, window: tuple[float, float, float]) -> None:
    """Show a window of the image, with outlines that follow the pixels, each with its letter."""
    first_row, first_col, side = window
    panel.set_xlim(first_col, first_col + side)
    panel.set_ylim(first_row + side, first_row)
    panel.set(xticks=[], yticks=[])
    panel.set_title("enlarged", fontsize=8)
    matched = np.isin(counts.predicted.labels, counts.pairs[:, 1] + 1)
    _outline(panel, matched, PREDICTION_COLOUR, "-.", 1.2)
    for kind, components, position in _marked(counts):
        style = STYLES[kind]
        _outline(panel, components.labels == position + 1, style.colour, style.line, 2.2)
        top, left, _, right = components.boxes[position].tolist()
        over = top - 1.0 - first_row > LETTER_SHARE * side
        panel.annotate(
            style.letter,
            ((left + right - 1) / 2, top - 1.0 if over else components.boxes[position][2]),
            color=style.colour,
            fontsize=11,
            fontweight="bold",
            horizontalalignment="center",
            verticalalignment="bottom" if over else "top",
            annotation_clip=True,
            path_effects=_halo(),
        )


def _frame(axes: "Axes", panel: "Axes") -> None:
    """Frame the enlarged part, and the same pixels in the image."""
    from matplotlib.patches import Rectangle

    (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
    frame = Rectangle((left, top), right - left, bottom - top, fill=False)
    frame.set(edgecolor=WINDOW_COLOUR, linewidth=1.0, zorder=0.9)  # below the marks
    axes.add_patch(frame)
    for spine in panel.spines.values():
        spine.set(color=WINDOW_COLOUR, linewidth=1.5)


def _window(subject: Subject, shape: tuple[int, int]) -> tuple[float, float, float]:
    """First row, first column and side of the square to enlarge, inside the image."""
    top, left, bottom, right = subject.box
    side = _window_px(max(bottom - top, right - left), min(shape))
    place = np.array([subject.row, subject.col]) - side / 2
    first_row, first_col = np.clip(place, -0.5, np.array(shape) - 0.5 - side).tolist()
    return first_row, first_col, side


def _window_px(subject_px: int, image_px: int) -> float:
    """Side of the enlarged window, for a subject and an image of these (shorter) sides."""
    least, largest = (subject_px + 2 * margin for margin in PANEL_MARGIN_PX)
    return float(min(max(least, min(largest, PANEL_SHARE * image_px / PANEL_ZOOM)), image_px))


def contours(mask: Bool[np.ndarray, "h w"]) -> list[list[tuple[float, float]]]:
    """Closed paths of points (x, y) between the pixels of a mask and others.

    A line style runs along a path; over single segments it would start anew at every pixel.
    """
    ends: defaultdict[tuple[float, float], list[tuple[float, float]]] = defaultdict(list)
    for start, end in outline(mask.view(np.uint8)):
        ends[start].append(end)
        ends[end].append(start)
    paths = []
    for start in list(ends):
        path = [start]
        while ends[path[-1]]:  # every point has an even number of segments: it ends at the start
            end = ends[path[-1]].pop()
            ends[end].remove(path[-1])
            path.append(end)
        if len(path) > 1:
            paths.append(path)
    return paths


def _outline(
    axes: "Axes", mask: Bool[np.ndarray, "h w"], colour: str, line: str, width: float
) -> None:
    from matplotlib.collections import LineCollection

    lines = LineCollection(contours(mask), colors=colour, linestyles=line, linewidths=width)
    lines.set_path_effects(_halo())
    axes.add_collection(lines, autolim=False)


def _halo() -> list[Any]:
    """A dark rim that keeps marks visible on bright clouds."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3.0, foreground="#000000")]


def _legend(figure: "Figure") -> None:
    """Below the image: the shape in the image, the line in both parts, the letter."""
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D

    shapes: list[tuple[str, Line, str, str]] = [
        *((s.colour, s.line, s.marker, f"{s.letter}  {s.label}") for s in STYLES.values()),
        (PREDICTION_COLOUR, "-.", "", "matched prediction (enlarged)"),
        (WINDOW_COLOUR, "-", "", "enlarged part"),
    ]
    handles: list[Any] = []
    for colour, line, marker, _ in shapes:
        stroke = Line2D([], [], color=colour, linestyle=line, linewidth=1.8)
        shape = Line2D([], [], color=colour, linestyle="none", marker=marker, fillstyle="none")
        handles.append((shape, stroke) if marker else (stroke,))
    figure.legend(
        handles,
        [label for *_, label in shapes],
        handler_map={tuple: HandlerTuple(ndivide=None)},
        handlelength=5.0,
        loc="outside lower center",
        ncols=5,
        fontsize=8,
        facecolor="#303030",
        labelcolor="white",
    )
