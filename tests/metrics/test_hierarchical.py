import math
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from irstd.metrics import MetricSuite
from irstd.metrics.components import label_components
from irstd.metrics.conventions import OPDC
from irstd.metrics.hierarchical import (
    error_counts,
    match_opdc,
    match_opdc_exact,
    opdc_candidates,
)
from irstd.metrics.scene import Scene

VALUES = {
    "tp": "n_matched", "tp_iou_sum": "pair_iou_sum", "Pd": "pd", "Fa": "fa_pixel", "hIoU": "hiou",
}  # fmt: skip
EXACT_VALUES = VALUES | {"IoU_loc": "iou_loc", "IoU_seg": "iou_seg"}
ERRORS = {name: key for name, key in OPDC.published_names.items() if name not in VALUES}
IMAGES = hnp.arrays(
    np.bool_,
    st.tuples(st.just(2), st.integers(3, 9), st.integers(3, 9)),
    elements=st.sampled_from([True, False, False, False]),
)


def scene(target: np.ndarray, predicted: np.ndarray) -> Scene:
    return Scene(label_components(target), label_components(predicted))


def drawn(entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Probability and mask of a case given as rectangles."""
    probability, mask = np.full(entry["shape"], 0.25), np.zeros(entry["shape"])
    for top, left, bottom, right in entry["targets"]:
        mask[top:bottom, left:right] = 1
    for top, left, bottom, right in entry["components"]:
        probability[top:bottom, left:right] = 0.75
    return probability, mask


def check(found: dict[str, float], expected: dict[str, Any], names: dict[str, str]) -> float:
    """Compare, and return the largest difference."""
    largest = 0.0
    for name, key in names.items():
        value = math.nan if expected[name] is None else expected[name]
        assert found[key] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name
        largest = max(largest, abs(found[key] - value))  # a NaN is left out
    return largest


def test_every_case_and_set_equals_the_toolkit(published, record_property):
    largest = 0.0
    for _, ids, entry in published.entries(published.hierarchical):
        found = published.figures("opdc", ids)
        largest = max(largest, check(found, entry["opdc"], VALUES))
        largest = max(largest, check(found, entry["errors"], ERRORS))
    record_property("largest_difference", largest)


def test_every_case_and_set_equals_the_corrected_definition(published, record_property):
    largest = 0.0
    for _, ids, entry in published.entries(published.hierarchical["opdc_exact"]):
        found = published.figures("opdc_exact", ids)
        largest = max(largest, check(found, entry, EXACT_VALUES))
    record_property("largest_difference", largest)


def test_cases_made_for_ties_limits_and_defects(published):
    exact = published.hierarchical["opdc_exact"]["extra"]
    assert len(exact) == 12
    for name, entry in published.hierarchical["extra"].items():
        suite = MetricSuite(["opdc", "opdc_exact"])
        suite.update(*drawn(entry))
        found = suite.compute()
        check(found["opdc"], entry["opdc"], VALUES)
        check(found["opdc"], entry["errors"], ERRORS)
        check(found["opdc_exact"], exact[name], EXACT_VALUES)


def test_other_limits_equal_the_toolkit(published, golden):
    for name, (probability, mask) in golden.cases.items():
        expected = published.hierarchical["per_case"][name]["opdc_o0.2_d2"]
        image = scene(mask > 0, probability > 0.5)
        pairs = match_opdc(image, 2.0, overlap=0.2)
        errors = error_counts(image, pairs, opdc_candidates(image, 2.0, overlap=0.2))
        assert len(pairs) == expected["tp"], name
        assert image.pair_ious(pairs).sum() == pytest.approx(expected["tp_iou_sum"]), name
        total = expected["tp"] + expected["fp"] + expected["fn"]
        lone = errors["lone_components"] + (image.predicted.count == 0)
        assert lone / total == pytest.approx(expected["loc_itf_err"]), name
        lone = errors["lone_targets"] + (image.targets.count == 0)
        assert lone / total == pytest.approx(expected["loc_pcp_err"]), name


@pytest.mark.parametrize("name", ["opdc", "opdc_exact"])
@settings(max_examples=40, deadline=None)
@given(masks=st.lists(IMAGES, min_size=1, max_size=3))
def test_shares_add_up_to_one(name, masks):
    suite = MetricSuite([name])
    for predicted, target in masks:
        suite.update(predicted.astype(np.float32), target)
    found = suite.compute()[name]
    parts = [found[f"error_loc_{kind}"] for kind in ("itf", "pcp", "m2s", "s2m")]
    if name == "opdc" or found["n_targets"] + found["n_predicted"]:
        assert found["iou_loc"] + sum(parts) == pytest.approx(1)
        assert min(parts) >= 0
    if found["n_matched"]:
        seg = sum(found[f"error_seg_{kind}"] for kind in ("mrg", "itf", "pcp"))
        assert found["iou_seg"] + seg == pytest.approx(1)
        assert found["hiou"] == pytest.approx(found["iou_loc"] * found["iou_seg"])


@settings(max_examples=60, deadline=None)
@given(masks=IMAGES, distance=st.sampled_from([1, 2, 3]))
def test_corrected_pairs_equal_a_slow_reference(slow, masks, distance):
    predicted, target = masks
    gs, qs = slow.components(target), slow.components(predicted)
    kept = [
        (i, j)
        for i, g in enumerate(gs)
        for j, q in enumerate(qs)
        if 2 * len(set(g) & set(q)) >= len(set(g) | set(q))
    ]
    rows, cols = {i for i, _ in kept}, {j for _, j in kept}
    squared: list[list[Fraction | None]] = []
    for i, g in enumerate(gs):
        row = [slow.squared_distance(g, q) for q in qs]
        free = [i not in rows and j not in cols for j in range(len(qs))]
        squared.append(
            [x if ok and x < distance**2 else None for x, ok in zip(row, free, strict=True)]
        )
    expected = sorted(kept + slow.match(squared))
    pairs = match_opdc_exact(scene(target, predicted), float(distance))
    assert [tuple(pair) for pair in pairs.tolist()] == expected


def test_many_components_against_few_targets_need_no_large_table():
    rng = np.random.default_rng(0)
    target, predicted = np.zeros((2, 60, 60), dtype=bool)
    target[[10, 40], [10, 40]] = True
    predicted[::3, ::3] = rng.random((20, 20)) > 0.2
    image = scene(target, predicted)
    nearest = image.distances.argmin(axis=1)
    assert image.predicted.count > 200
    assert match_opdc(image, 3.0).tolist() == [[0, nearest[0]], [1, nearest[1]]]


@pytest.mark.parametrize("turned", [False, True])
def test_a_noisy_map_needs_no_large_table(turned):
    rng = np.random.default_rng(0)
    target, predicted = np.zeros((2, 256, 256), dtype=bool)
    target[8::32, 8::16] = True
    predicted[rng.random(target.shape) > 0.965] = True
    image = scene(predicted, target) if turned else scene(target, predicted)
    assert sorted([image.targets.count, image.predicted.count]) == [128, 2001]
    tracemalloc.start()
    pairs = match_opdc(image, 3.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    nearest = image.distances.min(axis=int(not turned))
    assert (nearest < 2).sum() * 0.9 < len(pairs) <= (nearest < 3).sum()
    assert peak < 8 * image.distances.nbytes  # of 2 MB; 2001 x 2001 numbers are 32 MB


def test_closer_than_is_decided_in_integers():
    target = np.zeros((12, 12), dtype=bool)
    target[1:11, 1:11] = True
    predicted = target.copy()
    predicted[5, [4, 11]] = False, True  # one of 100 pixels moved by 7: 0.07 apart
    image = scene(target, predicted)
    assert len(image.exactly_nearer(0.07)) == 0
    assert len(image.exactly_nearer(0.08)) == 1
