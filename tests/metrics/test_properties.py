"""What must hold for any images, on random masks."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from irstd.metrics import CONVENTIONS, MetricSuite

NAMES = list(CONVENTIONS)
# Figures that may leave [0, 1]: counts and sums, false alarms per image, hits of components.
UNBOUNDED = {"fa_image", "pair_iou_sum", "false_on_empty"}
SCORES = hnp.arrays(
    np.float32,
    st.tuples(st.just(2), st.integers(3, 9), st.integers(3, 9)),
    elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.503, 0.75, 1.0]),
)
IMAGES = st.lists(SCORES, min_size=1, max_size=4)


def counted(images: list[np.ndarray], names: list[str] = NAMES) -> MetricSuite:
    """Count scores against the high ones of others."""
    suite = MetricSuite(names)
    for probability, other in images:
        suite.update(probability, other > 0.7)
    return suite


def values(suite: MetricSuite) -> np.ndarray:
    return np.array([x for figures in suite.compute().values() for x in figures.values()])


@settings(max_examples=40, deadline=None)
@given(images=IMAGES, data=st.data())
def test_merged_parts_equal_one_pass_to_the_last_bit(images, data):
    owner = data.draw(st.lists(st.integers(0, 2), min_size=len(images), max_size=len(images)))
    parts = [
        counted([x for x, who in zip(images, owner, strict=True) if who == k]) for k in (2, 0, 1)
    ]
    for part in parts[1:]:
        parts[0].merge(part)
    whole = counted(images)
    np.testing.assert_array_equal(values(parts[0]), values(whole))
    np.testing.assert_array_equal(parts[0].roc("acm").fpr, whole.roc("acm").fpr)
    merged, once = parts[0].distance_curve([1.0, 3.0]), whole.distance_curve([1.0, 3.0])
    np.testing.assert_array_equal(merged.pd, once.pd)


@settings(max_examples=40, deadline=None)
@given(images=IMAGES, seed=st.integers(0, 9))
def test_the_order_of_images_changes_no_bit(images, seed):
    shuffled = [images[k] for k in np.random.default_rng(seed).permutation(len(images))]
    np.testing.assert_array_equal(values(counted(shuffled)), values(counted(images)))


@settings(max_examples=40, deadline=None)
@given(images=IMAGES)
def test_the_order_of_components_does_not_change_the_default(images):
    """Flips and transposition number the components in another way."""
    expected = counted(images, ["ispanet", "opdc_exact"]).compute()
    for turn in (lambda x: x[:, ::-1], lambda x: x[:, :, ::-1], lambda x: x.swapaxes(1, 2)):
        found = counted([turn(x) for x in images], ["ispanet", "opdc_exact"]).compute()
        assert found["opdc_exact"]["n_matched"] == expected["opdc_exact"]["n_matched"]
        for key, value in expected["ispanet"].items():
            # Which of two equally near components a target takes changes the area of the rest.
            if key != "fa_pixel":
                np.testing.assert_allclose(found["ispanet"][key], value, rtol=1e-12, err_msg=key)


@settings(max_examples=60, deadline=None)
@given(images=IMAGES)
def test_rates_lie_between_zero_and_one(images):
    for name, figures in counted(images).compute().items():
        for key, value in figures.items():
            if key.startswith("n_") or key in UNBOUNDED or (name, key) == ("lpnet", "pd"):
                assert value >= 0 or math.isnan(value), (name, key)
            else:
                assert 0 <= value <= 1 + 1e-12 or math.isnan(value), (name, key)


@settings(max_examples=40, deadline=None)
@given(images=IMAGES)
def test_prediction_and_truth_may_change_places(images):
    pairs = [(a > 0.5, b > 0.7) for a, b in images]
    suites = [MetricSuite(["ispanet", "opdc_exact"]) for _ in range(2)]
    for predicted, target in pairs:
        suites[0].update(predicted.astype(np.float32), target)
        suites[1].update(target.astype(np.float32), predicted)
    (one, one_exact), (two, two_exact) = (suite.compute().values() for suite in suites)
    for key in ("iou", "f1", "f1_target", "niou_image"):
        np.testing.assert_allclose(one[key], two[key], rtol=1e-12, err_msg=key)
    for key, other in {"precision": "recall", "pd": "pa", "n_targets": "n_predicted"}.items():
        np.testing.assert_allclose(one[key], two[other], rtol=1e-12, err_msg=key)
    np.testing.assert_allclose(one_exact["iou_loc"], two_exact["iou_loc"], rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(images=IMAGES)
def test_a_perfect_prediction_has_no_error(images):
    suite = MetricSuite(["ispanet", "basicirstd", "opdc_exact"])
    for _, other in images:
        suite.update((other > 0.7).astype(np.float32), other > 0.7)
    found = suite.compute()
    for value in (found["ispanet"]["pd"], found["ispanet"]["iou"], found["opdc_exact"]["hiou"]):
        assert value == 1 or math.isnan(value)
    assert found["ispanet"]["fa_pixel"] == 0
