import numpy as np
import pytest

from irstd.errors import ConfigError
from irstd.metrics.components import label_components
from irstd.metrics.counts import COUNT_COLUMNS, PIXEL_COUNTS, count_components, figures
from irstd.metrics.curves import TargetSweep
from irstd.metrics.points import point_targets
from irstd.metrics.suite import MetricSuite

SHAPE = (20, 30)
PIXEL_FIGURES = {
    "iou", "precision", "recall", "f1", "niou_target", "niou_image", "fa_pixel", "fa_pixel_all",
}  # fmt: skip


def probability(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """0.9 in boxes (top, left, bottom, right), else 0."""
    image = np.zeros(SHAPE, np.float32)
    for top, left, bottom, right in boxes:
        image[top:bottom, left:right] = 0.9
    return image


def centres(*places: tuple[float, float]) -> np.ndarray:
    return np.array(places, dtype=np.float64).reshape(-1, 2)


@pytest.mark.parametrize(
    ("column", "hits"),
    [(6.5, 1), (8.5, 1), (8.501, 0), (4.5, 1), (4.499, 0)],  # the component's centre is at 6.5
)
def test_a_place_is_hit_within_the_distance_and_no_farther(column: float, hits: int) -> None:
    targets = point_targets(centres((4.5, column)), SHAPE)
    predicted = label_components(probability((4, 5, 6, 9)) > 0.5)
    assert len(count_components(targets, predicted, 2.0).pairs) == hits


def test_detection_is_measured_and_pixels_are_not() -> None:
    """Two targets, three components, one pair."""
    targets = point_targets(centres((4.5, 6.5), (15.0, 20.0)), SHAPE)
    predicted = label_components(probability((4, 6, 6, 8), (0, 0, 1, 1), (10, 10, 12, 12)) > 0.5)
    counts = count_components(targets, predicted, 2.0)
    found = figures(counts.row)
    assert found["pd"] == 1 / 2
    assert found["pa"] == 1 / 3
    assert found["f1_target"] == 2 / 5
    assert {name for name, value in found.items() if np.isnan(value)} == PIXEL_FIGURES
    assert np.isnan(counts.overlaps).tolist() == [True, True]
    unknown = {name for name, x in zip(COUNT_COLUMNS, counts.row, strict=True) if np.isnan(x)}
    assert unknown == set(PIXEL_COUNTS) & set(COUNT_COLUMNS)


def test_two_places_in_one_pixel_are_two_targets() -> None:
    targets = point_targets(centres((4.0, 6.0), (4.2, 6.1)), SHAPE)
    assert targets.count == 2
    counts = count_components(targets, label_components(probability((4, 6, 5, 7)) > 0.5), 2.0)
    assert counts.pairs.tolist() == [[0, 0]]


def test_an_empty_image_has_false_alarms() -> None:
    counts = count_components(
        point_targets(centres(), SHAPE), label_components(probability((4, 6, 5, 7)) > 0.5), 2.0
    )
    assert figures(counts.row)["false_on_empty"] == 1
    assert np.isnan(figures(counts.row)["iou"])


def test_the_suite_and_the_curves_count_alike() -> None:
    targets, score = point_targets(centres((4.5, 6.5)), SHAPE), probability((4, 6, 6, 8))
    suite = MetricSuite(["ispanet"])
    suite.update_targets(score, targets)
    found = suite.compute()["ispanet"]
    assert (found["pd"], found["pa"]) == (1.0, 1.0)
    assert np.isnan(found["iou"])
    sweep = TargetSweep([0.5, 0.95], 2.0)
    sweep.update_points(score, targets)
    assert sweep.free_response().pd.tolist() == [0.0, 1.0]
    assert np.isnan(sweep.curve().fa_pixel).all()


def test_conventions_that_need_pixels_refuse_places() -> None:
    suite = MetricSuite(["ispanet", "lpnet"])
    with pytest.raises(ConfigError, match=r"lpnet: expected masks, got places"):
        suite.update_targets(probability(), point_targets(centres(), SHAPE))
