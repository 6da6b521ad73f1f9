import numpy as np
import pytest

from irstd.errors import DataError
from irstd.metrics.figures import (
    CURVE_STEPS,
    CURVE_THRESHOLDS,
    Harmonic,
    Ratio,
    RocArea,
    Total,
    evaluate_figures,
    rate_curve,
)


def evaluate(figure, **counts):
    columns = tuple(counts)
    return float(evaluate_figures({"x": figure}, columns, np.array(list(counts.values())))["x"])


def test_a_sum_has_signs_and_factors():
    total = Total("targets -matched 2*tp -0.5*fp")
    assert total.columns == {"targets", "matched", "tp", "fp"}
    assert evaluate(total, targets=7.0, matched=4.0, tp=10.0, fp=2.0) == 7 - 4 + 20 - 1


@pytest.mark.parametrize(
    ("ratio", "value"),
    [
        (Ratio("tp", "tp fp"), np.nan),
        (Ratio("tp", "tp fp", empty=0.0), 0.0),
        (Ratio("tp", "tp fp", epsilon=0.5), 0.0),
        (Ratio("fn", "fn", needs="tp"), np.nan),
        (Ratio("fn", "fn tp"), 1.0),
    ],
)
def test_a_ratio_says_what_an_empty_denominator_gives(ratio, value):
    assert evaluate(ratio, tp=0.0, fp=0.0, fn=3.0) == pytest.approx(value, nan_ok=True)


def test_a_harmonic_mean_of_zeros_is_undefined_without_epsilon():
    zero = Ratio("tp", "fn")
    assert np.isnan(evaluate(Harmonic(zero, zero), tp=0.0, fn=3.0))
    assert evaluate(Harmonic(zero, zero, epsilon=1e-5), tp=0.0, fn=3.0) == 0.0
    assert evaluate(Harmonic(Ratio("tp", "fn"), Ratio("tp", "fp")), tp=1.0, fn=2.0, fp=4.0) == (
        pytest.approx(1 / 3)
    )


def test_rates_at_the_thresholds_of_a_coarser_grid():
    target, background = np.zeros((2, CURVE_STEPS + 1), dtype=np.int64)
    target[[150, 50]] = 3, 1  # scores just above 0.745 and 0.245
    background[[101, 0]] = 2, 4
    stride = CURVE_STEPS // 4
    curve = rate_curve(target, background, CURVE_THRESHOLDS, epsilon=1e-12, stride=stride)
    assert curve.thresholds.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert curve.tpr == pytest.approx([1.0, 0.75, 0.75, 0.0, 0.0])
    assert curve.fpr == pytest.approx([2 / 6, 2 / 6, 2 / 6, 0.0, 0.0])
    assert curve.precision == pytest.approx([4 / 6, 3 / 5, 3 / 5, 0.0, 0.0])


def test_the_area_of_a_separating_score_is_that_between_its_own_points():
    area = RocArea(1e-12)
    counts = dict.fromkeys(sorted(area.columns), 0.0)
    counts |= {"target_bin_200": 5.0, "background_bin_1": 7.0}
    assert evaluate(area, **counts) == pytest.approx(1.0)


def test_another_number_of_columns_is_refused():
    with pytest.raises(DataError, match=r"2 columns \(tp, fp\), got shape \(3,\)"):
        evaluate_figures({"x": Total("tp")}, ("tp", "fp"), np.zeros(3))
