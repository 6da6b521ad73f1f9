from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from irstd.evaluation import figures
from irstd.evaluation.evaluate import Evaluation

HISTORY = pd.DataFrame(
    {"epoch": [0, 1, 2], "train_loss": [3.0, 2.0, 1.0], "val_loss": [2.5, np.nan, 1.5]}
).assign(val_iou=[0.1, np.nan, 0.3])


def curves(found: Evaluation) -> dict[str, pd.DataFrame]:
    return {name: figures.curve_frame(curve) for name, curve in found.curves.items()}


def test_columns_of_the_curves(found: Evaluation) -> None:
    columns = {name: frame.columns.tolist() for name, frame in curves(found).items()}
    assert columns == {
        "pr": ["threshold", "precision", "recall"],
        "roc": ["threshold", "tpr", "fpr"],
        "f1_iou": ["threshold", "f1", "iou"],
        "calibration": ["low", "high", "pixels", "score", "target_share"],
        "pd_fa": ["threshold", "pd", "fa_target", "fa_pixel"],
        "froc": ["threshold", "false_per_image", "pd"],
        "distance": ["distance_px", "pd", "pa"],
    }
    assert columns.keys() == figures.CURVES.keys()


def test_networks_differ_in_more_than_colour(found: Evaluation) -> None:
    frame = curves(found)["pr"]
    figure = figures.draw([(figures.plot_pr, {"one": frame, "two": frame})])
    first, second = figure.axes[0].lines
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_color() != second.get_color()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["one", "two"]


def test_both_meanings_of_fa_are_named_and_drawn(found: Evaluation) -> None:
    frame = curves(found)["pd_fa"]
    figure = figures.draw([(plot, {"one": frame}) for plot in figures.CURVES["pd_fa"]])
    components, pixels = figure.axes
    assert components.get_title() == "P_d over F_a (components)"
    assert pixels.get_title() == "P_d over F_a (pixels)"
    np.testing.assert_allclose(components.lines[0].get_xdata(), frame["fa_target"])
    np.testing.assert_allclose(pixels.lines[0].get_xdata(), 1e6 * frame["fa_pixel"])
    assert components.get_xlabel() == "F_a: false components / predicted components (share)"
    assert pixels.get_xlabel() == "F_a: pixels of false components / all pixels (1e-6)"
    assert components.get_ylabel() == pixels.get_ylabel() == "P_d: hit targets / targets (share)"


def test_calibration_is_drawn_beside_the_diagonal(found: Evaluation) -> None:
    frame = curves(found)["calibration"]
    figure = figures.draw([(plot, {"one": frame}) for plot in figures.CURVES["calibration"]])
    diagonal, line = figure.axes[0].lines
    assert np.array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_allclose(line.get_ydata(), frame["target_share"])
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), frame["pixels"])


def test_f1_and_iou_share_one_panel(found: Evaluation) -> None:
    frame = curves(found)["f1_iou"]
    figure = figures.draw([(figures.plot_f1_iou, {"one": frame})])
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["one: F1", "one: IoU"]


def test_points_without_a_value_are_left_out(found: Evaluation) -> None:
    assert np.isnan(found.pr.precision[0])  # nothing is above the threshold 1
    frame = curves(found)["pr"]
    assert len(frame) == (~np.isnan(found.pr.precision)).sum()
    assert frame.index[0] == 0
    assert all(not frame.isna().any(axis=None) for frame in curves(found).values())


def test_curves_without_any_point_can_be_drawn(found: Evaluation) -> None:
    panels = [
        (plot, {"one": frame.iloc[:0]})
        for name, frame in curves(found).items()
        for plot in figures.CURVES[name]
    ]
    assert figures.png_bytes(figures.draw(panels, columns=3)).startswith(b"\x89PNG")


def test_epochs_without_validation_are_left_out() -> None:
    figure = figures.draw([(plot, {"one": HISTORY}) for plot in figures.HISTORY.values()])
    training, validation = figure.axes[0].lines
    assert training.get_xdata().tolist() == [0, 1, 2]
    assert validation.get_xdata().tolist() == [0, 2]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.1, 0.3]


@pytest.mark.parametrize("name", list(figures.CURVES))
def test_each_curve_is_saved(name: str, found: Evaluation, tmp_path: Path) -> None:
    frame = curves(found)[name]
    panels = [(plot, {"one": frame}) for plot in figures.CURVES[name]]
    figures.save_png(figures.draw(panels), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert cv2.imread(str(tmp_path / "a.png")).shape[2] == 3


def test_unused_places_of_the_grid_are_blank(found: Evaluation) -> None:
    panels = [(figures.plot_roc, {"one": curves(found)["roc"]})] * 3
    figure = figures.draw(panels)
    assert [axes.axison for axes in figure.axes] == [True, True, True, False]
