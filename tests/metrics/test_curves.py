import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irstd.errors import ConfigError, DataError
from irstd.metrics import DetectionMetrics, curves
from irstd.metrics.curves import TargetSweep, distance_curve


def sweep(images, thresholds, distance: float = 2.0) -> TargetSweep:
    counted = TargetSweep(thresholds, distance)
    for probability, mask in images:
        counted.update(probability, mask)
    return counted


def figures_at(images, threshold: float, distance: float) -> dict[str, float]:
    metrics = DetectionMetrics(threshold=threshold, distance=distance)
    for image in images:
        metrics.update(*image)
    return metrics.compute()


def check_each_threshold(images, thresholds, distance: float) -> None:
    counted = sweep(images, thresholds, distance)
    curve, response = counted.curve(), counted.free_response()
    assert curve.thresholds.tolist() == sorted(thresholds)
    assert response.thresholds.tolist() == sorted(thresholds, reverse=True)
    for position, threshold in enumerate(curve.thresholds):
        found = figures_at(images, threshold, distance)
        for key in ("pd", "fa_target", "fa_pixel"):
            np.testing.assert_equal(getattr(curve, key)[position], found[key])
        np.testing.assert_equal(response.pd[-1 - position], found["pd"])
        matched = found["n_targets"] * found["pd"] if found["n_targets"] else 0.0
        false = (found["n_predicted"] - matched) / len(images)
        assert response.false_per_image[-1 - position] == pytest.approx(false, rel=1e-12)


def test_each_point_of_a_sweep_is_the_figure_at_that_threshold(golden):
    images = [golden.cases[name] for name in golden.sets["real"]]
    check_each_threshold(images, [0.9, 0.0, 0.25, 0.5, 1.0], distance=3.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.05, 0.3, 0.9]))
def test_random_maps_give_the_figures_at_each_threshold(seed, density):
    # Sparse maps have empty rows and columns, which are left out while labelling.
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 14, 2))
    probability = rng.integers(0, 9, shape).astype(np.float32) / 8 * (rng.random(shape) < density)
    mask = (rng.random(shape) < 0.15).astype(np.uint8)
    check_each_threshold([(probability, mask)], [0.0, 0.125, 0.3, 0.5, 0.8, 1.0], distance=1.5)


def test_an_image_is_labelled_only_where_its_prediction_changes(monkeypatch):
    seen = []
    find = curves.find_moments
    monkeypatch.setattr(curves, "find_moments", lambda *pixels: seen.append(0) or find(*pixels))
    probability, mask = np.zeros((9, 9)), np.zeros((9, 9), dtype=np.uint8)
    probability[4, 3:6], mask[4, 4] = (0.2, 0.7, 0.21), 1
    counted = sweep([(probability, mask)], [k / 1000 for k in range(1, 1001)])
    assert len(seen) == 3  # one for each distinct probability
    assert counted.curve().pd.tolist() == [1.0] * 699 + [0.0] * 301


def test_free_response_by_hand():
    probability = np.zeros((7, 20))
    probability[3, [2, 8, 14]] = 0.9, 0.6, 0.3
    mask = np.zeros((7, 20))
    mask[3, [2, 14]] = 1
    empty = np.zeros((5, 5))
    empty[0, 0] = 0.8
    images = [(probability, mask), (empty, np.zeros((5, 5)))]
    response = sweep(images, [0.2, 0.5, 0.7, 0.85, 0.95]).free_response()
    assert response.false_per_image.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert response.pd.tolist() == [0.0, 0.5, 0.5, 0.5, 1.0]


def test_batches_tensors_and_parts_count_alike(golden):
    images = [golden.cases[name] for name in golden.sets["s256"]]
    thresholds = [0.3, 0.5, 0.6]
    whole = sweep(images, thresholds).curve()
    batch = tuple(np.stack(arrays)[:, None] for arrays in zip(*images, strict=True))
    tensors = tuple(torch.from_numpy(array) for array in batch)
    first, second = sweep(images[:3], thresholds), sweep(images[3:], thresholds)
    first.merge(second)
    for other in (sweep([batch], thresholds), sweep([tensors], thresholds), first):
        for key in ("pd", "fa_target", "fa_pixel"):
            assert getattr(other.curve(), key).tolist() == getattr(whole, key).tolist()


def test_a_sweep_without_images_or_targets_is_undefined():
    assert math.isnan(TargetSweep([0.5], 2.0).free_response().false_per_image[0])
    without = sweep([(np.full((3, 3), 0.4), np.zeros((3, 3)))], [0.2, 0.5])
    assert np.isnan(without.curve().pd).all()
    assert without.free_response().false_per_image.tolist() == [0.0, 1.0]


def test_sweeps_refuse_wrong_settings():
    with pytest.raises(ConfigError, match=r"threshold: .*got 2"):
        TargetSweep([0.5, 2.0], 2.0)
    with pytest.raises(ConfigError, match=r"distance: .*got -1"):
        TargetSweep([0.5], -1.0)
    with pytest.raises(ConfigError, match="expected at least one, got none"):
        TargetSweep([], 2.0)
    message = r"1 thresholds in \[0.5, 0.5\] at 3 px into one of 2 thresholds in \[0.4, 0.5\]"
    with pytest.raises(ConfigError, match=message):
        TargetSweep([0.5, 0.4], 2.0).merge(TargetSweep([0.5], 3.0))


def test_a_faulty_pair_is_not_counted():
    counted = TargetSweep([0.5], 2.0)
    with pytest.raises(DataError, match="got 0 to 7"):
        counted.update(np.array([[0.0, 7.0]]), np.array([[0, 1]]))
    assert math.isnan(counted.curve().fa_pixel[0])


def test_distances_without_images_are_undefined():
    curve = distance_curve([], [0.0, 2.0])
    assert np.isnan([curve.pd, curve.pa]).all()
    with pytest.raises(ConfigError, match=r"distance: .*got -1"):
        distance_curve([], [-1.0])
