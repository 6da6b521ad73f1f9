import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from irstd.metrics.assignment import assign

TABLES = st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(
    lambda size: st.lists(
        st.lists(st.sampled_from([None, 0, 1, 2, 3]), min_size=size[1], max_size=size[1]),
        min_size=size[0],
        max_size=size[0],
    )
)


@settings(max_examples=300, deadline=None)
@given(table=TABLES)
def test_equals_the_best_of_all_matchings_ties_included(slow, table):
    assume(any(value is not None for row in table for value in row))
    squared = [[None if value is None else Fraction(value) ** 2 for value in row] for row in table]
    distances = np.array([[np.inf if v is None else float(v) for v in row] for row in table])
    assert [tuple(pair) for pair in assign(distances).tolist()] == slow.match(squared)


def test_more_pairs_come_before_less_distance():
    distances = np.array([[0.0, 2.0], [1.9, np.inf]])
    assert assign(distances).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("size", [2, 5, 30])
def test_equal_totals_give_the_first_list_of_pairs(size):
    assert assign(np.ones((size, size))).tolist() == [[i, i] for i in range(size)]


def test_rows_that_lose_a_tie_are_the_last():
    assert assign(np.full((4, 2), 0.5)).tolist() == [[0, 0], [1, 1]]


def test_rounding_does_not_break_a_tie():
    equal_totals = np.array([[0.1 + 0.2, 0.1], [0.2, 0.0]])  # 0.30000000000000004 and 0.3 + 0
    assert assign(equal_totals).tolist() == [[0, 0], [1, 1]]


def test_a_row_without_pair_does_not_hold_a_column_back():
    assert assign(np.array([[np.inf, np.inf], [0.0, 0.0]])).tolist() == [[1, 0]]


@pytest.mark.parametrize("turned", [False, True])
def test_nothing_is_larger_than_the_table(turned):
    """The last ten rows may take ten other columns as well: first those that come first."""
    distances = np.full((20, 2000), 5.0)
    distances[np.arange(20), np.arange(20) * 90 + 7] = 1.0
    distances[10:, 1000:1010] = 1.0
    tracemalloc.start()
    pairs = assign(distances.T if turned else distances)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = [[k, k * 90 + 7 if k < 12 else 988 + k] for k in range(20)]
    assert pairs[:, :: -1 if turned else 1].tolist() == expected
    assert peak < 8 * distances.nbytes  # 2000 x 2000 numbers are 100 times as large
