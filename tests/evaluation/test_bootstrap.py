import math

import numpy as np
import pytest

from irstd.evaluation import bootstrap
from irstd.evaluation.bootstrap import bootstrap_intervals, resampled_sums, unit_name, unit_sums
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


def test_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = table(30)
    first, again, other = (bootstrap_intervals(counts, 100, 0.95, seed) for seed in (1, 1, 2))
    assert repr(first) == repr(again)
    assert first["pd"] != other["pd"]
    monkeypatch.setattr(bootstrap, "CHUNK", 7)  # saves memory, changes nothing
    assert repr(bootstrap_intervals(counts, 100, 0.95, 1)) == repr(first)


def test_any_figures_of_any_columns_will_do() -> None:
    def mean(sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": sums[..., 0] / sums[..., 1]}

    units = np.array([[3.0, 1.0], [5.0, 1.0]])
    interval = bootstrap_intervals(units, 400, 0.9, 0, mean)["mean"]
    assert (interval.low, interval.high) == (3.0, 5.0)


def test_undefined_figures_stay_undefined() -> None:
    interval = bootstrap_intervals(table(5), 100, 0.95, 0)["niou_image"]
    assert math.isnan(interval.low)
    assert interval.undefined == 1.0


def test_samples_without_a_target_are_left_out() -> None:
    only_one = np.zeros((3, len(COUNT_COLUMNS)))
    only_one[:, COUNT_COLUMNS.index("images")] = 1
    only_one[0, COUNT_COLUMNS.index("targets")] = 1
    interval = bootstrap_intervals(only_one, 1000, 0.95, 0)["pd"]
    assert (interval.low, interval.high) == (0.0, 0.0)
    assert interval.undefined == pytest.approx((2 / 3) ** 3, abs=0.05)


@pytest.mark.parametrize("n_units", [0, 1])
def test_less_than_two_units_have_no_spread(n_units: int) -> None:
    interval = bootstrap_intervals(table(n_units), 100, 0.95, 0)["pd"]
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_sequences_are_added_up_and_single_images_stay_alone() -> None:
    counts = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    sequences = np.array(["b", None, "a", "b", None], dtype=object)
    np.testing.assert_array_equal(unit_sums(counts, sequences), [[9.0], [4.0], [2.0], [16.0]])
    assert unit_name(sequences) == "sequence"


def test_single_images_are_the_units_where_there_is_no_sequence() -> None:
    counts, sequences = table(4), np.full(4, np.nan)
    np.testing.assert_array_equal(unit_sums(counts, sequences), counts)
    assert unit_name(sequences) == "image"


def test_frames_that_say_the_same_do_not_narrow_the_interval() -> None:
    once = table(10)
    frames, sequences = np.repeat(once, 20, axis=0), np.repeat(np.arange(10).astype(str), 20)
    by_sequence = bootstrap_intervals(unit_sums(frames, sequences), 500, 0.9, 3)["pd"]
    assert by_sequence == bootstrap_intervals(once, 500, 0.9, 3)["pd"]
    by_image = bootstrap_intervals(frames, 500, 0.9, 3)["pd"]
    assert by_image.high - by_image.low < 0.5 * (by_sequence.high - by_sequence.low)


def test_a_sample_has_as_many_units_as_there_are() -> None:
    sums = resampled_sums(np.ones((9, 1)), 50, 0)
    np.testing.assert_array_equal(sums, np.full((50, 1), 9.0))
