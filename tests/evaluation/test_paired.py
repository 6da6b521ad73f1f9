import math
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import permutation_test

from irstd.errors import DataError
from irstd.evaluation.paired import Difference, paired_differences
from irstd.metrics.counts import COUNT_COLUMNS, figures


def mean(sums: np.ndarray) -> Mapping[str, np.ndarray]:
    """The first column over the second."""
    return {"mean": sums[..., 0] / sums[..., 1]}


def per_unit(values: list[float] | np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def compare(a: np.ndarray, b: np.ndarray, samples: int = 500, seed: int = 0) -> Difference:
    return paired_differences(a, b, samples, 0.9, seed, mean).figures["mean"]


def test_few_units_are_tested_exactly() -> None:
    a, b = per_unit([1, 2, 3, 4, 0]), per_unit([2, 4, 6, 3, 0])
    result = paired_differences(a, b, 100, 0.9, 0, mean)
    found = result.figures["mean"]
    assert (found.a, found.b, found.difference) == (2.0, 3.0, 1.0)
    reference = permutation_test(
        (b[:4, 0], a[:4, 0]),
        lambda x, y: float(np.sum(x - y)),
        permutation_type="samples",
        alternative="two-sided",
    )
    assert (result.swaps, result.exact) == (16, True)
    assert found.p == pytest.approx(reference.pvalue)


def test_drawn_swaps_come_near_the_exact_test() -> None:
    rng = np.random.default_rng(5)
    a = per_unit(rng.normal(size=12))
    b = per_unit(a[:, 0] + rng.normal(0.4, 1.0, size=12))
    exact = paired_differences(a, b, 2**12, 0.9, 0, mean)
    drawn = paired_differences(a, b, 2**12 - 1, 0.9, 0, mean)
    assert (exact.exact, drawn.exact) == (True, False)
    # Four standard errors of a share over 4095 swaps.
    assert drawn.figures["mean"].p == pytest.approx(exact.figures["mean"].p, abs=0.03)


def test_drawn_swaps_never_give_zero() -> None:
    a = per_unit(np.zeros(40))
    assert compare(a, per_unit(np.ones(40)), samples=99).p == 1 / 100


def test_equal_models_differ_in_nothing() -> None:
    values = np.random.default_rng(0).random(50)  # fractions whose sums are rounded
    found = compare(per_unit(values), per_unit(values))
    assert (found.difference, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)


def test_rounding_does_not_make_a_difference() -> None:
    values = np.random.default_rng(1).random(30)
    found = compare(per_unit(values), per_unit(values[::-1]))  # equal sums in another order
    assert found.p == 1.0


def test_the_test_keeps_its_level_and_the_interval_its_share() -> None:
    rejected = covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        hard = rng.normal(0.0, 5.0, size=30)  # what both models share
        a, b = (per_unit(hard + rng.normal(size=30)) for _ in range(2))
        found = compare(a, b, samples=200, seed=seed)
        rejected += found.p <= 0.1
        covered += found.interval.low <= 0.0 <= found.interval.high
    # Binomial, n = 100: 10 rejections with a standard deviation of 3; 90 covered, likewise.
    assert rejected <= 20
    assert 78 <= covered <= 98


def test_what_both_share_does_not_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    hard = rng.normal(0.0, 100.0, size=40)
    found = compare(per_unit(hard), per_unit(hard + 1.0 + rng.normal(0.0, 0.1, size=40)))
    assert 0.9 < found.interval.low < found.interval.high < 1.1
    assert found.p < 0.01


def test_exchanging_the_models_turns_the_sign() -> None:
    a, b = per_unit([1, 2, 3, 4]), per_unit([2, 4, 6, 3])
    there, back = compare(a, b), compare(b, a)
    assert back.difference == -there.difference
    assert (back.interval.low, back.interval.high) == (-there.interval.high, -there.interval.low)
    assert back.p == there.p


def test_figures_are_of_sums_and_undefined_ones_have_no_test() -> None:
    a, b = (np.zeros((3, len(COUNT_COLUMNS))) for _ in range(2))
    for counts, matched in ((a, [1, 0, 0]), (b, [1, 1, 1])):
        counts[:, COUNT_COLUMNS.index("targets")] = [1, 2, 4]
        counts[:, COUNT_COLUMNS.index("matched")] = matched
    found = paired_differences(a, b, 100, 0.9, 0, figures).figures
    assert found["pd"].difference == pytest.approx(2 / 7)
    assert found["pd"].p == 0.5  # two images differ, of four swaps two are as large
    assert math.isnan(found["iou"].difference)
    assert math.isnan(found["iou"].p)


def test_a_swap_without_a_value_counts_as_large() -> None:
    def ratio(sums: np.ndarray) -> Mapping[str, np.ndarray]:
        part, whole = sums[..., 0], sums[..., 1]
        return {"ratio": np.divide(part, whole, np.full(part.shape, np.nan), where=whole > 0)}

    # A is 1/2, B 2/2; swapping one of the two images leaves one of them with 0/0.
    a, b = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 2.0]])
    found = paired_differences(a, b, 100, 0.9, 0, ratio).figures["ratio"]
    assert (found.difference, found.p) == (0.5, 1.0)


def test_tables_of_different_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"same units.*\(3, 2\) and \(2, 2\)"):
        compare(per_unit([1, 2, 3]), per_unit([1, 2]))
