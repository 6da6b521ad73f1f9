import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from irstd.errors import ConfigError, DataError
from irstd.metrics import DetectionMetrics

PIXEL = {"iou": "IoU", "precision": "P", "recall": "R", "f1": "F1", "fa_pixel_all": "Fa_pixel"}
TARGET = {
    "pd": "P_d", "md": "M_d", "pa": "P_a", "fa_target": "F_a", "f1_target": "F1_T",
    "fa_pixel": "Fa_pixel_unmatched", "n_targets": "n_gt", "n_predicted": "n_pred",
}  # fmt: skip
MASKS = hnp.arrays(
    np.bool_,
    st.tuples(st.just(2), st.integers(3, 8), st.integers(3, 8)),
    elements=st.sampled_from([True, False, False, False]),
)


def measured(images: Any, **settings: Any) -> DetectionMetrics:
    metrics = DetectionMetrics(**settings)
    for probability, mask in images:
        metrics.update(probability, mask)
    return metrics


def check(found: dict[str, float], entry: dict[str, Any], images: list[Any]) -> float:
    """Compare with one entry of the fixture by the table of keys, and return the difference."""
    both_empty = sum(not mask.any() and not (p > 0.5).any() for p, mask in images)
    without_target = [(p, mask) for p, mask in images if not mask.any()]
    counted = len(images) - both_empty
    image_mean = entry["nIoU"]["per_image_empty0"]
    expected = {key: entry["pixel"][name] for key, name in PIXEL.items()}
    expected |= {key: entry["target_d2"]["c8_centroid"][name] for key, name in TARGET.items()}
    expected["niou_target"] = entry["nIoU"]["per_target_overlap"]
    expected["niou_image"] = image_mean * len(images) / counted if counted else None
    expected["n_images"] = len(images)
    expected["n_empty_images"] = len(without_target)
    expected["false_on_empty"] = measured(without_target).compute()["n_predicted"]
    assert set(found) == set(expected)
    largest = 0.0
    for key, value in expected.items():
        if value is None:
            assert math.isnan(found[key]), key
        else:
            assert found[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key
            largest = max(largest, abs(found[key] - value))
    return largest


def test_every_case_equals_the_definitions(golden, record_property):
    assert len(golden.per_case) == 81
    largest = 0.0
    for name, entry in golden.per_case.items():
        images = [golden.cases[name]]
        largest = max(largest, check(measured(images).compute(), entry, images))
    record_property("largest_difference", largest)


@pytest.mark.parametrize(
    "name", ["all", "synthetic", "real", "s256", "distance", "sq64", "with_target"]
)
def test_every_set_equals_the_definitions(golden, record_property, name):
    images = [golden.cases[case] for case in golden.sets[name]]
    largest = check(measured(images).compute(), golden.per_set[name], images)
    record_property("largest_difference", largest)


def test_false_components_on_empty_images_are_counted(golden):
    found = measured([golden.cases["no_target_false_alarms"], golden.cases["both_empty"]]).compute()
    assert (found["n_empty_images"], found["false_on_empty"]) == (2, 3)


def test_a_probability_of_exactly_one_half_is_background(golden):
    assert measured([golden.cases["tie_false_alarm"]]).compute()["iou"] == 1.0
    assert measured([golden.cases["tie_false_alarm"]], threshold=0.4999).compute()["iou"] < 1.0


@pytest.mark.parametrize("name", ["all", "distance", "s256"])
def test_curve_over_the_distance_equals_the_definitions(golden, name):
    metrics = measured([golden.cases[case] for case in golden.sets[name]])
    tp_at_d = golden.per_set[name]["tp_at_d"]
    curve = metrics.distance_curve([float(distance) for distance in tp_at_d])
    found = metrics.compute()
    np.testing.assert_allclose(curve.pd, np.array(list(tp_at_d.values())) / found["n_targets"])
    np.testing.assert_allclose(curve.pa, np.array(list(tp_at_d.values())) / found["n_predicted"])
    assert curve.distances.tolist() == [0.5 * k for k in range(1, 11)]


@settings(max_examples=80, deadline=None)
@given(
    masks=st.lists(MASKS, min_size=1, max_size=3), distance=st.sampled_from([0.5, 1.0, 2.0, 3.0])
)
def test_equals_a_slow_reference_in_fractions(slow, masks, distance):
    images = [(predicted, target) for predicted, target in masks]
    found = measured([(p.astype(np.float32), t) for p, t in images], distance=distance).compute()
    expected = slow.figures(images, Fraction(distance))
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert (
            math.isnan(found[key])
            if value is None
            else found[key] == pytest.approx(float(value), rel=1e-12)
        ), key


def test_the_order_of_images_changes_no_bit(golden):
    images = list(golden.cases.values())
    found = measured(images).compute()
    rng = np.random.default_rng(0)
    for _ in range(3):
        shuffled = [images[position] for position in rng.permutation(len(images))]
        assert measured(shuffled).compute() == found


@pytest.mark.parametrize("cut", [0, 1, 40, 81])
def test_merged_parts_equal_one_pass(golden, cut):
    images = list(golden.cases.values())
    whole, first, second = measured(images), measured(images[:cut]), measured(images[cut:])
    second.merge(first)
    assert second.compute() == whole.compute()
    assert (
        second.distance_curve([1.0, 3.0]).pd.tolist()
        == whole.distance_curve([1.0, 3.0]).pd.tolist()
    )


def test_a_batch_equals_its_images_in_numpy_and_torch(golden):
    images = [golden.cases[name] for name in golden.sets["s256"]]
    probability, mask = (np.stack(arrays)[:, None] for arrays in zip(*images, strict=True))
    expected = measured(images).compute()
    assert measured([(probability, mask)]).compute() == expected
    tensors = torch.from_numpy(probability), torch.from_numpy(mask)
    assert measured([tensors]).compute() == expected
    assert measured([(tensors[0].float(), mask.astype(bool))]).compute() == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_a_gpu_give_the_same(golden):
    images = list(golden.cases.values())
    moved = [tuple(torch.from_numpy(array).cuda() for array in pair) for pair in images]
    assert measured(moved).compute() == measured(images).compute()


def test_reset_forgets_everything(golden):
    metrics = measured([golden.cases["all_foreground"]])
    metrics.reset()
    metrics.update(*golden.cases["perfect_multi"])
    assert metrics.compute() == measured([golden.cases["perfect_multi"]]).compute()


def test_without_images_rates_are_undefined():
    found = DetectionMetrics().compute()
    assert found["n_images"] == found["n_targets"] == 0
    assert math.isnan(found["iou"])
    assert math.isnan(found["pd"])


def test_the_table_has_a_row_per_image(golden):
    metrics = measured([golden.cases["perfect_multi"], golden.cases["both_empty"]])
    assert metrics.table.shape[0] == 2
    assert DetectionMetrics().table.shape == (0, metrics.table.shape[1])


def test_settings_default_to_the_convention():
    assert DetectionMetrics().distance == 2.0
    assert DetectionMetrics(distance=0.0).distance == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"convention": "dice"}, "unknown convention 'dice'"),
        ({"threshold": 1.5}, "threshold: .*got 1.5"),
        ({"distance": -2.0}, "distance: .*got -2.0"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DetectionMetrics(**arguments)


@pytest.mark.parametrize("other", [{"threshold": 0.4}, {"distance": 3.0}])
def test_figures_counted_in_another_way_are_not_merged(other):
    with pytest.raises(ConfigError, match=r"cannot merge .*\('ispanet', 0.5, 2.0\) here and"):
        DetectionMetrics().merge(DetectionMetrics(**other))


def test_a_refused_batch_leaves_no_trace():
    metrics = DetectionMetrics()
    batch = np.zeros((2, 1, 4, 4))
    batch[1, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="got nan to nan"):
        metrics.update(batch, np.zeros((2, 1, 4, 4)))
    assert metrics.compute()["n_images"] == 0


def test_the_curve_refuses_a_negative_distance():
    with pytest.raises(ConfigError, match=r"distance: .*got -1.0"):
        DetectionMetrics().distance_curve([1.0, -1.0])
