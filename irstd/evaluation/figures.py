"""Curves as figures. Values are computed elsewhere; each `plot_` function draws on given axes.

Curves of several networks share one figure and differ in line style as well as in colour.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from irstd.files import replaced
from irstd.metrics.calibration import CalibrationCurve
from irstd.metrics.curves import DistanceCurve, FreeResponseCurve, TargetCurve
from irstd.metrics.histogram import OverlapCurve, PrecisionRecallCurve, RocCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, pd.DataFrame]
"""The same curve for several networks, by name."""

Plot = Callable[["Axes", Curves], "Axes"]

Curve = (
    RocCurve
    | PrecisionRecallCurve
    | OverlapCurve
    | CalibrationCurve
    | TargetCurve
    | FreeResponseCurve
    | DistanceCurve
)

COLUMN_NAMES = {"thresholds": "threshold", "distances": "distance_px"}

PER_MILLION = 1e6
PD_LABEL = "P_d: hit targets / targets (share)"
LINES = ("-", "--", "-.", ":")
DPI = 110


def curve_frame(curve: Curve) -> pd.DataFrame:
    """The points of a curve as columns, named as its attributes but for `COLUMN_NAMES`.

    A point without a defined value (nothing is predicted at a high threshold) is left out: plotting
    programs draw it as 0.
    """
    columns = {field.name: getattr(curve, field.name) for field in fields(curve)}
    points = {name: x for name, x in columns.items() if isinstance(x, np.ndarray)}
    return pd.DataFrame(points).rename(columns=COLUMN_NAMES).dropna(ignore_index=True)


def plot_pr(axes: "Axes", curves: Curves) -> "Axes":
    """Precision over recall; columns `recall`, `precision`."""
    for style, frame in _styled(curves):
        axes.plot(frame["recall"], frame["precision"], **style)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    return _finish(axes, "Precision and recall of pixels")


def plot_roc(axes: "Axes", curves: Curves) -> "Axes":
    """True over false positive rate; columns `fpr`, `tpr`; logarithmic above 1e-6."""
    for style, frame in _styled(curves):
        axes.plot(frame["fpr"], frame["tpr"], **style)
    axes.set_xscale("symlog", linthresh=1e-6)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.02))
    return _finish(axes, "ROC of pixels")


def plot_f1_iou(axes: "Axes", curves: Curves) -> "Axes":
    """F1 (thin) and IoU (thick) over the threshold; columns `threshold`, `f1`, `iou`."""
    for style, frame in _styled(curves):
        label = style.pop("label")
        for column, name, width in (("f1", "F1", 1.0), ("iou", "IoU", 2.2)):
            axes.plot(
                frame["threshold"],
                frame[column],
                linewidth=width,
                label=f"{label}: {name}",
                **style,
            )
    axes.set(xlabel="threshold", ylabel="share", xlim=(0, 1), ylim=(0, 1.02))
    return _finish(axes, "F1 and IoU of pixels over the threshold")


def plot_calibration(axes: "Axes", curves: Curves) -> "Axes":
    """Share of target pixels over their mean score; columns `score`, `target_share`."""
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1.0, label="calibrated")
    for style, frame in _styled(curves):
        axes.plot(frame["score"], frame["target_share"], marker="o", markersize=3, **style)
    axes.set(xlabel="mean score of the pixels", ylabel="share of target pixels")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return _finish(axes, "Reliability of the score")


def plot_calibration_counts(axes: "Axes", curves: Curves) -> "Axes":
    """How many pixels have a score in each interval; columns `low`, `high`, `pixels`."""
    for style, frame in _styled(curves):
        middle = (frame["low"] + frame["high"]) / 2
        axes.plot(middle, frame["pixels"], marker="o", markersize=3, **style)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set(xlabel="score", ylabel="pixels", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    return _finish(axes, "Pixels by score")


def plot_froc(axes: "Axes", curves: Curves) -> "Axes":
    """P_d over false alarms per image; columns `false_per_image`, `pd`; logarithmic above 0.01."""
    for style, frame in _styled(curves):
        axes.plot(frame["false_per_image"], frame["pd"], **style)
    axes.set_xscale("symlog", linthresh=1e-2)
    axes.set(xlabel="false components per image", ylabel=PD_LABEL, ylim=(0, 1.02))
    axes.set_xlim(left=0)
    return _finish(axes, "Free response")


def plot_pd_fa_components(axes: "Axes", curves: Curves) -> "Axes":
    """P_d over the share of false components; columns `fa_target`, `pd`."""
    for style, frame in _styled(curves):
        axes.plot(frame["fa_target"], frame["pd"], **style)
    axes.set(xlabel="F_a: false components / predicted components (share)", xlim=(0, 1))
    axes.set(ylabel=PD_LABEL, ylim=(0, 1.02))
    return _finish(axes, "P_d over F_a (components)")


def plot_pd_fa_pixels(axes: "Axes", curves: Curves) -> "Axes":
    """P_d over the pixels of false components; columns `fa_pixel`, `pd`."""
    for style, frame in _styled(curves):
        axes.plot(PER_MILLION * frame["fa_pixel"], frame["pd"], **style)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set(xlabel="F_a: pixels of false components / all pixels (1e-6)")
    axes.set(ylabel=PD_LABEL, ylim=(0, 1.02))
    axes.set_xlim(left=0)
    return _finish(axes, "P_d over F_a (pixels)")


def plot_distance(axes: "Axes", curves: Curves) -> "Axes":
    """P_d (full marker) and P_a (open) over the distance; columns `distance_px`, `pd`, `pa`."""
    for style, frame in _styled(curves):
        label = style.pop("label")
        x = frame["distance_px"]
        axes.plot(x, frame["pd"], marker="o", markersize=4, label=f"{label}: P_d", **style)
        axes.plot(
            x,
            frame["pa"],
            marker="s",
            markersize=4,
            fillstyle="none",
            label=f"{label}: P_a",
            **style,
        )
    axes.set(xlabel="matching distance in px", ylabel="share", ylim=(0, 1.02))
    return _finish(axes, "P_d and P_a over the distance")


def plot_loss(axes: "Axes", curves: Curves) -> "Axes":
    """Training (line) and validation loss (markers) over the epoch; columns of `history.csv`."""
    for style, frame in _styled(curves):
        label = style.pop("label")
        axes.plot(frame["epoch"], frame["train_loss"], label=f"{label}: training", **style)
        seen = frame.dropna(subset=["val_loss"])
        style["linestyle"] = "none"
        axes.plot(
            seen["epoch"], seen["val_loss"], marker="x", label=f"{label}: validation", **style
        )
    axes.set(xlabel="epoch", ylabel="loss")
    return _finish(axes, "Loss")


def plot_val_iou(axes: "Axes", curves: Curves) -> "Axes":
    """IoU of the validation part over the epoch; columns of `history.csv`."""
    for style, frame in _styled(curves):
        seen = frame.dropna(subset=["val_iou"])
        axes.plot(seen["epoch"], seen["val_iou"], marker="o", markersize=3, **style)
    axes.set(xlabel="epoch", ylabel="IoU", ylim=(0, 1.02))
    return _finish(axes, "IoU on the validation part")


CURVES: Mapping[str, tuple[Plot, ...]] = {
    "pr": (plot_pr,),
    "roc": (plot_roc,),
    "f1_iou": (plot_f1_iou,),
    "calibration": (plot_calibration, plot_calibration_counts),
    "pd_fa": (plot_pd_fa_components, plot_pd_fa_pixels),
    "froc": (plot_froc,),
    "distance": (plot_distance,),
}
"""How to draw `<name>.csv` of an evaluation; F_a has two meanings, of components and of pixels."""

HISTORY: Mapping[str, Plot] = {"loss": plot_loss, "val_iou": plot_val_iou}
"""How to draw `history.csv` of a training."""


def draw(panels: Sequence[tuple[Plot, Curves]], columns: int = 2) -> "Figure":
    """Draw panels side by side.

    Args:
        panels: what to draw on each, with its curves.
        columns: panels in a row.
    """
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.6 * lines), dpi=DPI, layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (plot, curves) in zip(grid, panels, strict=False):
        plot(axes, curves)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def png_bytes(figure: "Figure") -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_png(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG."""
    with replaced(path) as temporary:
        temporary.write_bytes(png_bytes(figure))


def _styled(curves: Curves) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    for position, (name, frame) in enumerate(curves.items()):
        style = {"color": f"C{position % 10}", "linestyle": LINES[position % len(LINES)]}
        yield style | {"label": name}, frame


def _finish(axes: "Axes", title: str) -> "Axes":
    axes.set_title(title, fontsize=10)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    return axes
