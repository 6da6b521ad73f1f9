import numpy as np
import pytest

from irstd.data.store import PreparedData
from irstd.evaluation.evaluate import (
    Evaluation,
    baseline,
    evaluate_images,
    split_hash,
    total_figures,
)
from irstd.evaluation.maps import MapPredictor
from irstd.inference.predictor import Predictor
from irstd.metrics import DetectionMetrics


def test_figures_are_those_counted_by_hand(found: Evaluation) -> None:
    # Pixels: 9 + 9 found, 4 missed, 4 + 1 false. One image has no target.
    assert found.figures["iou"] == pytest.approx(18 / 27)
    assert found.figures["pd"] == pytest.approx(2 / 3)
    assert found.figures["pa"] == pytest.approx(2 / 4)
    assert found.figures["f1_target"] == pytest.approx(4 / 7)
    assert found.figures["fa_pixel"] == pytest.approx(5 / (3 * 64 * 64 + 48 * 81))
    assert found.figures["niou_target"] == pytest.approx(2 / 3)
    assert found.figures["false_on_empty"] == 1


def test_figures_equal_those_of_detection_metrics(
    found: Evaluation, data: PreparedData, kept: dict[str, np.ndarray]
) -> None:
    metrics = DetectionMetrics()
    for row in data.rows("test"):
        metrics.update(kept[data.index["id"][row]], data.mask(int(row)))
    expected = metrics.compute()
    assert {name: found.figures[name] for name in expected} == expected


def test_every_map_has_the_grid_of_its_mask(
    found: Evaluation, data: PreparedData, kept: dict[str, np.ndarray]
) -> None:
    assert list(kept) == ["hit", "miss", "false", "mixed"]
    assert kept["mixed"].shape == (48, 81)


def test_order_of_the_images_does_not_matter(found: Evaluation) -> None:
    shuffled = found.counts[[3, 1, 0, 2]]
    assert total_figures(shuffled) == total_figures(found.counts)


def test_curves_meet_the_figures_at_the_operating_point(found: Evaluation) -> None:
    at = found.over_threshold.thresholds == 0.5
    assert found.over_threshold.pd[at] == found.figures["pd"]
    assert found.over_threshold.fa_pixel[at] == found.figures["fa_pixel"]
    within = found.over_distance.distances == 2.0
    assert found.over_distance.pa[within] == found.figures["pa"]
    response = found.free_response
    at = response.thresholds == 0.5
    assert response.pd[at] == found.figures["pd"]
    assert response.false_per_image[at] == 2 / 4  # two false alarms in four images
    at = found.overlap.thresholds == 0.5
    assert found.overlap.iou[at] == found.figures["iou"]
    assert found.overlap.f1[at] == found.figures["f1"]
    assert found.figures["average_precision"] == found.pr.average_precision
    assert found.figures["roc_auc"] == found.roc.auc


def test_score_figures_follow_from_the_tables(found: Evaluation) -> None:
    hits = [row for row in found.per_target.to_pylist() if row["hit"]]
    false = found.false_alarms["score"].to_pylist()
    ranked = [(row["score"], True) for row in hits] + [(score, False) for score in false]
    expected, before = 0.0, 0
    for limit in sorted({score for score, _ in ranked}, reverse=True):
        entered = [hit for score, hit in ranked if score >= limit]
        expected += (sum(entered) - before) / found.figures["n_targets"] * np.mean(entered)
        before = sum(entered)
    assert found.figures["average_precision_target"] == pytest.approx(expected)
    assert found.figures["ece"] == found.calibration.ece
    assert found.figures["ece_above_lowest"] == found.calibration.ece_above_lowest


def test_the_operating_threshold_is_one_of_the_curve(
    data: PreparedData, predictor: Predictor
) -> None:
    rows = data.rows("test").tolist()[:1]
    found = evaluate_images(predictor, data, rows, 0.37, 2.0, lambda *_: None)
    at = found.over_threshold.thresholds == 0.37
    assert found.over_threshold.pd[at] == found.figures["pd"]


def test_curves_have_thresholds_between_scores_however_close(data: PreparedData) -> None:
    (row,) = np.flatnonzero(data.index["id"] == "mixed").tolist()
    probability = np.zeros((48, 81), dtype=np.float32)
    probability[31, 31], probability[40, 60] = 0.9999, 0.9997  # a hit and a false alarm
    maps = MapPredictor(iter([probability]))
    found = evaluate_images(maps, data, [row], 0.5, 2.0, lambda *_: None)
    response = found.free_response
    assert response.thresholds.tolist() == [np.float32(0.9999), np.float32(0.9997), 0.5, 0.0]
    assert response.false_per_image.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert response.pd.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_speed_is_counted(found: Evaluation) -> None:
    assert found.sequential_per_s > 0


def test_baseline_takes_the_best_threshold_in_hindsight(data: PreparedData) -> None:
    threshold, f1 = baseline(data, data.rows("test").tolist(), 2.0)
    # Just below 100 / 255 the dim target is found as well, beside the two false alarms.
    assert 99 / 255 < threshold < 100 / 255
    assert f1 == pytest.approx(2 * 3 / (3 + 5))


def test_split_hash_depends_on_the_set_of_ids_alone() -> None:
    assert split_hash(["b", "a"]) == split_hash(["a", "b"])
    assert split_hash(["a", "b"]) != split_hash(["ab"])
