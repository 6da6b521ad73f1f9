import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irstd.errors import DataError
from irstd.metrics.ranking import DetectionRanking


def ranking(*images: tuple[list[float], list[bool], int]) -> DetectionRanking:
    ranked = DetectionRanking()
    for scores, hits, n_targets in images:
        ranked.update(np.array(scores), np.array(hits, dtype=bool), n_targets)
    return ranked


def test_average_precision_by_hand() -> None:
    found = ranking(([0.9, 0.8], [True, False], 2), ([0.6, 0.7], [False, True], 1)).compute()
    assert found.scores.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert found.precision.tolist() == [1.0, 1 / 2, 2 / 3, 2 / 4]
    assert found.recall.tolist() == [1 / 3, 1 / 3, 2 / 3, 2 / 3]
    assert found.average_precision == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)


def test_equal_scores_enter_together() -> None:
    for order in ([True, False, False], [False, False, True]):
        found = ranking(([0.5, 0.5, 0.5], order, 1)).compute()
        assert found.scores.tolist() == [0.5]
        assert found.average_precision == pytest.approx(1 / 3)


@settings(max_examples=60, deadline=None)
@given(
    images=st.lists(
        st.lists(st.tuples(st.sampled_from([0.51, 0.6, 0.75, 1.0]), st.booleans()), max_size=6),
        max_size=6,
    ),
    missed=st.integers(0, 3),
    cut=st.integers(0, 6),
)
def test_average_precision_equals_its_definition(images, missed, cut):
    parts = [
        ([score for score, _ in image], [hit for _, hit in image], sum(h for _, h in image))
        for image in images
    ]
    parts.append(([], [], missed))
    every = [one for image in images for one in image]
    n_targets = missed + sum(hit for _, hit in every)
    expected, previous = 0.0, 0.0
    for limit in sorted({score for score, _ in every}, reverse=True):
        entered = [hit for score, hit in every if score >= limit]
        recall = sum(entered) / n_targets if n_targets else math.nan
        expected += (recall - previous) * sum(entered) / len(entered)
        previous = recall
    found = ranking(*parts).compute().average_precision
    assert found == pytest.approx(expected if n_targets else math.nan, nan_ok=True)
    merged = ranking(*parts[cut:])
    merged.merge(ranking(*parts[:cut]))
    np.testing.assert_equal(merged.compute().average_precision, found)


def test_without_targets_it_is_undefined_and_without_components_zero() -> None:
    assert math.isnan(ranking().compute().average_precision)
    assert math.isnan(ranking(([0.9], [False], 0)).compute().average_precision)
    assert ranking(([], [], 2)).compute().average_precision == 0.0


def test_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="2 scores, 1 flags, 1 hits, 3 targets"):
        ranking(([0.9, 0.8], [True], 3))
    with pytest.raises(DataError, match="1 scores, 1 flags, 1 hits, 0 targets"):
        ranking(([0.9], [True], 0))
