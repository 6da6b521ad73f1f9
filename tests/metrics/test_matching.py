import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from irstd.metrics.components import Moments, label_components
from irstd.metrics.matching import find_candidates, match_components

SMALL = hnp.arrays(np.bool_, (2, 7, 7), elements=st.sampled_from([True, False, False, False]))
LIMITS = st.sampled_from([0.0, 0.5, 1.0, 1.1, 1.5, 1.9, 2.0, 2.5, 3.0, 5.0, 0.1 + 0.2])


def moments(*components: tuple[int, int, int]) -> Moments:
    areas, rows, cols = np.array(components, dtype=np.int64).reshape(-1, 3).T
    return Moments(areas, rows, cols)


def match(target: np.ndarray, predicted: np.ndarray, distance: float) -> list[tuple[int, int]]:
    found = match_components(label_components(target), label_components(predicted), distance)
    return [(int(i), int(j)) for i, j in found]


@settings(max_examples=200, deadline=None)
@given(masks=SMALL, distance=LIMITS)
def test_equals_the_best_of_all_matchings(slow, masks, distance):
    target, predicted = masks
    assert match(target, predicted, distance) == slow.pairs(
        target, predicted, Fraction(repr(float(distance)))
    )


@settings(max_examples=100, deadline=None)
@given(masks=SMALL, turns=st.integers(0, 3), flip=st.booleans())
def test_the_number_of_pairs_does_not_depend_on_the_order_of_components(masks, turns, flip):
    turned = [np.rot90(np.fliplr(mask) if flip else mask, turns) for mask in masks]
    assert len(match(*masks, 2.0)) == len(match(*turned, 2.0))


@pytest.mark.parametrize(
    ("case", "distance", "pairs"),
    [
        ("d1.9", 1.9, 1), ("d2.0", 2.0, 1), ("d2.1", 2.0, 0), ("d2.1", 2.1, 1), ("d2.9", 2.9, 1),
        ("d2.9", 2.8, 0), ("d3.0_diagonal", 3.0, 1), ("d3.1", 3.0, 0), ("d2.0_diagonal", 2.0, 1),
        ("d2.0_diagonal", 1.9999999999999998, 0),
    ],
)  # fmt: skip
def test_the_limit_is_inclusive_to_the_last_digit(golden, case, distance, pairs):
    probability, mask = golden.cases[case]
    assert len(match(mask > 0, probability > 0.5, distance)) == pairs


def test_distance_zero_asks_for_equal_centroids(golden):
    probability, mask = golden.cases["perfect_multi"]
    n_targets = label_components(mask > 0).count
    assert match(mask > 0, probability > 0.5, 0.0) == [(i, i) for i in range(n_targets)]


@pytest.mark.parametrize("scale", [1, 10**4, 10**6, 10**8])
def test_large_areas_are_compared_without_overflow(scale):
    target = moments((5 * scale, 100 * scale, 100 * scale))  # centroid (20, 20)
    at_two = moments((5 * scale, 106 * scale, 108 * scale))  # (21.2, 21.6)
    beyond = moments((5 * scale, 106 * scale, 108 * scale + 1))
    assert len(match_components(target, at_two, 2.0)) == 1
    assert len(match_components(target, beyond, 2.0)) == 0
    assert find_candidates(target, at_two, 2.0).distances.tolist() == [2.0]


def test_components_far_from_the_origin_are_compared_without_overflow():
    area, shift = 10**9, 10**5
    target = moments((area, area * shift, area * shift))
    other = moments((area - 1, (area - 1) * (shift + 2), (area - 1) * shift))
    assert len(match_components(target, other, 2.0)) == 1
    assert len(match_components(target, other, 1.999999999)) == 0


@pytest.mark.parametrize("hundredths", [7, 14, 17])
def test_a_strict_limit_is_decided_in_integers_too(hundredths):
    """Each of these limits is more than the root of its square in floating point."""
    limit = hundredths / 100
    assert math.sqrt(hundredths**2 / 100**2) < limit
    target, other = moments((100, 0, 0)), moments((100, 0, hundredths))
    assert len(find_candidates(target, other, limit)) == 1
    assert len(find_candidates(target, other, limit, strict=True)) == 0
    assert len(find_candidates(target, moments((100, 0, hundredths - 1)), limit, strict=True)) == 1


def test_a_limit_with_many_digits_is_taken_as_printed():
    target, other = moments((10, 0, 0)), moments((10, 3, 0))  # exactly 0.3 apart
    assert len(match_components(target, other, 0.3)) == 1
    assert len(match_components(target, other, 0.29999999999999993)) == 0
    assert len(match_components(target, other, 0.1 + 0.2)) == 1


def test_equal_distances_are_equal_numbers():
    target = moments((3, 0, 0))
    others = moments((7, 7, 0), (9, 0, 9), (1, -1, 0), (1300, 0, -1300))
    assert set(find_candidates(target, others, 2.0).distances.tolist()) == {1.0}
    assert match_components(target, others, 2.0).tolist() == [[0, 0]]


@pytest.mark.parametrize(("n", "r"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_on_one_side_gives_no_pair(n, r):
    targets, predicted = moments(*[(1, i, i) for i in range(n)]), moments(*[(1, 9, 9)] * r)
    assert match_components(targets, predicted, 2.0).shape == (0, 2)


def test_a_large_tangled_group_is_one_to_one_and_maximum():
    rng = np.random.default_rng(5)
    targets = moments(*[(1, int(a), int(b)) for a, b in rng.integers(0, 60, (300, 2))])
    predicted = moments(*[(1, int(a), int(b)) for a, b in rng.integers(0, 60, (540, 2))])
    pairs = match_components(targets, predicted, 30.0)
    assert len(pairs) == 300
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == 300


def test_of_a_star_the_nearest_is_taken_and_others_stay_free():
    one = moments((1, 10, 10))
    three = moments((1, 12, 10), (1, 10, 11), (1, 9, 10))  # 2, 1 and 1 apart
    assert match_components(one, three, 2.0).tolist() == [[0, 1]]
    assert match_components(three, one, 2.0).tolist() == [[1, 0]]


def test_stars_isolated_pairs_and_tangles_side_by_side():
    targets = moments((1, 0, 0), (1, 50, 50), (1, 100, 0), (1, 100, 3), (1, 7, 90))
    predicted = moments((1, 0, 1), (1, 0, 2), (1, 50, 51), (1, 100, 1), (1, 100, -2), (1, 70, 9))
    # targets 2 and 3 share component 3; target 2 can take component 4 instead
    assert match_components(targets, predicted, 2.0).tolist() == [[0, 0], [1, 2], [2, 4], [3, 3]]


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0, 7.5])
def test_candidates_are_all_pairs_in_range(distance):
    rng = np.random.default_rng(2)
    targets, predicted = (
        moments(*[(1, int(a), int(b)) for a, b in rng.integers(0, 30, (n, 2))]) for n in (40, 90)
    )
    offsets = targets.centroids[:, None] - predicted.centroids
    squared = (offsets**2).sum(axis=2)  # of integers: exact
    found = find_candidates(targets, predicted, distance)
    expected = np.argwhere(squared <= distance**2).tolist()
    assert sorted(zip(found.targets.tolist(), found.predicted.tolist(), strict=True)) == [
        tuple(pair) for pair in expected
    ]
    assert np.array_equal(found.distances, np.sqrt(squared[found.targets, found.predicted]))
