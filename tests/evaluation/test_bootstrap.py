import math

import numpy as np
import pytest

from irstd.evaluation.bootstrap import bootstrap_intervals
from irstd.evaluation.evaluate import Evaluation
from irstd.metrics.counts import COUNT_COLUMNS, figures


def table(n_images: int, seed: int = 0) -> np.ndarray:
    """Counts of images with one target and one prediction each, matched in about two thirds."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((n_images, len(COUNT_COLUMNS)))
    column = {name: counts[:, position] for position, name in enumerate(COUNT_COLUMNS)}
    for name in ("images", "targets", "predicted"):
        column[name][:] = 1
    column["matched"][:] = rng.random(n_images) < 2 / 3
    return counts


def test_equals_a_loop_that_draws_images() -> None:
    counts = table(12)
    rng = np.random.default_rng(7)
    draws = rng.multinomial(12, np.full(12, 1 / 12), size=200)
    values = [
        float(figures(counts[np.repeat(np.arange(12), draw)].sum(axis=0))["pd"]) for draw in draws
    ]
    interval = bootstrap_intervals(counts, 200, 0.9, seed=7)["pd"]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])))


def test_covers_the_truth_about_as_often_as_stated() -> None:
    inside = 0
    for seed in range(100):
        interval = bootstrap_intervals(table(60, seed), 300, 0.9, seed)["pd"]
        inside += interval.low <= 2 / 3 <= interval.high
    assert 80 <= inside <= 98


def test_depends_on_the_seed_alone() -> None:
    counts = table(30)
    first, again, other = (bootstrap_intervals(counts, 100, 0.95, seed) for seed in (1, 1, 2))
    assert repr(first) == repr(again)
    assert first["pd"] != other["pd"]


def test_undefined_figures_stay_undefined() -> None:
    interval = bootstrap_intervals(table(5), 100, 0.95, 0)["niou_image"]
    assert math.isnan(interval.low)
    assert interval.undefined == 1.0


def test_samples_without_a_target_are_left_out(found: Evaluation) -> None:
    only_one = np.zeros((3, len(COUNT_COLUMNS)))
    only_one[:, COUNT_COLUMNS.index("images")] = 1
    only_one[0, COUNT_COLUMNS.index("targets")] = 1
    interval = bootstrap_intervals(only_one, 1000, 0.95, 0)["pd"]
    assert (interval.low, interval.high) == (0.0, 0.0)
    assert interval.undefined == pytest.approx((2 / 3) ** 3, abs=0.05)


def test_one_image_gives_a_point() -> None:
    interval = bootstrap_intervals(table(1), 100, 0.95, 0)["pd"]
    assert interval.low == interval.high
