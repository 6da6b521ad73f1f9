import math

import numpy as np
import pytest

from irstd.errors import ConfigError
from irstd.metrics.calibration import calibration_curve
from irstd.metrics.histogram import ScoreHistogram


def histogram(probability: np.ndarray, mask: np.ndarray, bins: int = 1024) -> ScoreHistogram:
    scores = ScoreHistogram(bins)
    scores.update(probability, mask)
    return scores


def by_interval(probability: np.ndarray, mask: np.ndarray, count: int) -> list[np.ndarray]:
    """Positions of the pixels in each interval (k / count, (k + 1) / count], 0 in the first."""
    which = np.maximum(np.ceil(probability * count) - 1, 0)
    return [which == k for k in range(count)]


def test_curve_and_error_equal_the_definition() -> None:
    rng = np.random.default_rng(5)
    probability = rng.random((60, 70)) ** 3
    probability[0, :2] = 0.0, 1.0
    mask = rng.random(probability.shape) < probability**1.5
    curve = calibration_curve(histogram(probability, mask), intervals=8)
    inside = by_interval(probability, mask, 8)
    assert curve.low.tolist() == [k / 8 for k in range(8)]
    assert curve.high.tolist() == [(k + 1) / 8 for k in range(8)]
    assert curve.pixels.tolist() == [int(part.sum()) for part in inside]
    rounding = 1 / 2048  # a score counts as the middle of its bin
    errors = []
    for position, part in enumerate(inside):
        score, share = probability[part].mean(), mask[part].mean()
        assert curve.score[position] == pytest.approx(score, abs=rounding)
        assert curve.target_share[position] == pytest.approx(share, rel=1e-12)
        errors.append(abs(score - share) * part.sum())
    assert curve.ece == pytest.approx(sum(errors) / mask.size, abs=rounding)
    above = sum(errors[1:]) / sum(part.sum() for part in inside[1:])
    assert curve.ece_above_lowest == pytest.approx(above, abs=rounding)
    assert curve.ece > 0.03
    assert curve.ece_above_lowest > curve.ece + 0.02


def test_a_calibrated_score_has_no_error() -> None:
    probability = np.repeat([[0.25, 0.75]], 400, axis=0)
    mask = np.zeros((400, 2))
    mask[:100, 0] = mask[:300, 1] = 1
    curve = calibration_curve(histogram(probability, mask))
    assert max(curve.ece, curve.ece_above_lowest) <= 1 / 2048


def test_background_without_score_does_not_hide_the_error() -> None:
    probability, mask = np.zeros((100, 100)), np.zeros((100, 100))
    probability[0, :10] = 1.0  # of which five are targets
    mask[0, :5] = 1
    curve = calibration_curve(histogram(probability, mask))
    assert curve.pixels[0] == 9990
    assert curve.ece_above_lowest == pytest.approx(0.5, abs=1 / 2048)
    assert curve.ece == pytest.approx(0.5 * 10 / 10_000, abs=1e-6)


def test_without_a_score_above_the_lowest_interval_the_error_is_undefined() -> None:
    curve = calibration_curve(histogram(np.full((3, 3), 0.01), np.zeros((3, 3))))
    assert math.isnan(curve.ece_above_lowest)
    assert curve.ece == pytest.approx(0.01, abs=1 / 2048)
    assert curve.target_share[0] == 0.0
    assert np.isnan(curve.target_share[1:]).all()


def test_without_pixels_both_errors_are_undefined() -> None:
    curve = calibration_curve(ScoreHistogram())
    assert math.isnan(curve.ece)
    assert math.isnan(curve.ece_above_lowest)


@pytest.mark.parametrize("intervals", [1, 7])
def test_intervals_must_divide_the_bins(intervals: int) -> None:
    with pytest.raises(
        ConfigError, match=f"divides the 1024 bins of the histogram, got {intervals}"
    ):
        calibration_curve(ScoreHistogram(), intervals)
