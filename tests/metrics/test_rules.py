"""The match rules against loops over all targets and components, as their codes are written."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from irstd.metrics.components import label_components
from irstd.metrics.rules import RULES
from irstd.metrics.scene import Scene

IMAGES = hnp.arrays(
    np.bool_,
    st.tuples(st.just(2), st.integers(3, 14), st.integers(3, 14)),
    elements=st.sampled_from([True, False, False, False, False]),
)
Pixels = list[tuple[int, int]]


def centre(pixels: Pixels) -> list[float]:
    return [sum(values) / len(values) for values in zip(*pixels, strict=True)]


def box_centre(pixels: Pixels) -> list[float]:
    return [(min(values) + max(values)) / 2 for values in zip(*pixels, strict=True)]


def first_fit(gs: list[Pixels], qs: list[Pixels]) -> set[tuple[int, int]]:
    pairs: dict[int, int] = {}
    for i, g in enumerate(gs):
        for j, q in enumerate(qs):
            if i not in pairs.values() and j not in pairs and math.dist(centre(g), centre(q)) < 3:
                pairs[j] = i
    return {(i, j) for j, i in pairs.items()}


def half_diameter(gs: list[Pixels], qs: list[Pixels]) -> set[tuple[int, int]]:
    pairs: dict[int, int] = {}
    for j, q in enumerate(qs):
        for i, g in enumerate(gs):
            near = math.dist(centre(g), centre(q)) < math.sqrt(4 * len(g) / math.pi) / 2
            if near and j not in pairs:
                pairs[j] = i
    return {(i, j) for j, i in pairs.items()}


def box_centres(gs: list[Pixels], qs: list[Pixels]) -> set[tuple[int, int]]:
    return {
        (i, j)
        for i, g in enumerate(gs)
        for j, q in enumerate(qs)
        if set(g) & set(q) and math.dist(box_centre(g), box_centre(q)) <= 4
    }


def corner_window(gs: list[Pixels], qs: list[Pixels]) -> set[tuple[int, int]]:
    pairs = set()
    for i, g in enumerate(gs):
        row, col = (round(x) for x in centre(g))
        if row < 2 or col < 2:
            continue
        window = {(row - 2, col - 2), (row - 2, col - 1), (row - 1, col - 2), (row - 1, col - 1)}
        pairs |= {(i, j) for j, q in enumerate(qs) if window & set(q)}
    return pairs


@pytest.mark.parametrize(
    ("rule", "distance", "reference"),
    [
        ("first_fit", 3.0, first_fit),
        ("half_diameter", math.inf, half_diameter),
        ("box_centres", 4.0, box_centres),
        ("corner_window", math.inf, corner_window),
    ],
)
@settings(max_examples=60, deadline=None)
@given(masks=IMAGES)
def test_equals_a_loop_over_all_pairs(slow, rule, distance, reference, masks):
    predicted, target = masks
    scene = Scene(label_components(target), label_components(predicted))
    pairs = [tuple(pair) for pair in RULES[rule](scene, distance).tolist()]
    assert pairs == sorted(reference(slow.components(target), slow.components(predicted)))


def test_first_fit_is_not_the_nearest(golden):
    probability, mask = golden.cases["first_not_nearest"]
    scene = Scene(label_components(mask > 0), label_components(probability > 0.5))
    nearest, first = (RULES[rule](scene, 3.0) for rule in ("nearest", "first_fit"))
    assert len(nearest) == len(first) == 1
    assert scene.pair_distances(nearest) < scene.pair_distances(first)


@settings(max_examples=60, deadline=None)
@given(masks=IMAGES)
def test_pairs_know_their_pixels(slow, masks):
    predicted, target = masks
    scene = Scene(label_components(target), label_components(predicted))
    gs, qs = ([set(x) for x in slow.components(mask)] for mask in (target, predicted))
    pairs = np.argwhere(np.ones((len(gs), len(qs)), dtype=bool))
    assert scene.pair_shared(pairs).tolist() == [len(gs[i] & qs[j]) for i, j in pairs.tolist()]
    assert scene.pair_unions(pairs).tolist() == [len(gs[i] | qs[j]) for i, j in pairs.tolist()]
    assert [tuple(x) for x in scene.touching.tolist()] == [
        (i, j) for i, j in pairs.tolist() if gs[i] & qs[j]
    ]
    inside = set().union(*gs) if gs else set()
    assert scene.on_targets.tolist() == [len(q & inside) for q in qs]
    assert scene.tp == int((predicted & target).sum())
