import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irstd.errors import DataError
from irstd.metrics import peaks
from irstd.metrics.components import label_components
from irstd.metrics.curves import FreeResponseCurve, TargetSweep
from irstd.metrics.peaks import PeakScores


def gathered(images) -> PeakScores:
    found = PeakScores()
    for image in images:
        found.update(*image)
    return found


def sweep(images, thresholds) -> TargetSweep:
    counted = TargetSweep(thresholds, 2.0)
    for image in images:
        counted.update(*image)
    return counted


def response(images) -> FreeResponseCurve:
    return sweep(images, gathered(images).thresholds()).free_response()


def points(scores, hits) -> tuple[np.ndarray, np.ndarray]:
    """One image with single pixels of these scores, of which some are targets."""
    probability = np.zeros((5, 4 * len(scores)), dtype=np.float32)
    mask = np.zeros(probability.shape, dtype=np.uint8)
    probability[2, 2::4], mask[2, 2::4] = scores, hits
    return probability, mask


def random_images(seed: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    shapes = rng.integers(1, 14, (count, 2)).tolist()
    return [(rng.integers(0, 30, s) / 29, (rng.random(s) < 0.1).astype(np.uint8)) for s in shapes]


def test_scores_that_no_fixed_grid_tells_apart_give_the_perfect_point() -> None:
    curve = response([points([0.9999, 0.9997], [1, 0])])
    assert (0.0, 1.0) in zip(curve.false_per_image, curve.pd, strict=True)


def test_a_few_points_are_all_counted() -> None:
    image = points([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 1, 0, 0])
    curve = response([image])
    # Above 0.7 and above 0.6, where only hits appear, nothing needs counting.
    assert curve.thresholds.tolist() == [np.float32(x) for x in (0.9, 0.8, 0.5, 0.4, 0.0)]
    assert curve.false_per_image.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert curve.pd.tolist() == [0.0, 1 / 3, 1.0, 1.0, 1.0]


def test_hits_and_false_alarms_of_one_score_enter_together() -> None:
    curve = response([points([0.9, 0.9, 0.9, 0.3], [0, 1, 0, 0])])
    found = list(zip(curve.false_per_image.tolist(), curve.pd.tolist(), strict=True))
    assert found == [(0.0, 0.0), (2.0, 1.0), (3.0, 1.0)]


def test_many_scores_give_at_most_128_thresholds_and_both_ends() -> None:
    rng = np.random.default_rng(3)
    scores = rng.permutation(np.linspace(0.01, 0.99, 600))
    image = points(scores, rng.random(600) < 0.5)
    thresholds = gathered([image]).thresholds()
    assert 90 <= len(thresholds) <= 128
    assert thresholds[[0, -1]].tolist() == [0.0, image[0].max()]
    curve = sweep([image], thresholds).free_response()
    assert np.diff(curve.pd).max() < 3 / 63  # 63 corners, each after the hits since the last
    false = curve.false_per_image
    assert (false[1:] <= 1.2 * false[:-1] + 1).all()  # geometric: 300 ** (1 / 62) is 1.1
    assert (curve.pd[-1], false[-1]) == (1.0, image[1][2, 2::4].tolist().count(0))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 4), kept=st.sampled_from([8, 2**16]))
def test_parts_merge_to_the_thresholds_and_counts_of_the_whole(seed, cut, kept):
    images = random_images(seed, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peaks, "MAX_PEAKS", kept)
        whole = gathered(images)
        merged = gathered(images[cut:])
        merged.merge(gathered(images[:cut]))
        thresholds = whole.thresholds()
        assert merged.thresholds().tolist() == thresholds.tolist()
    part = sweep(images[cut:], thresholds)
    part.merge(sweep(images[:cut], thresholds))
    expected = sweep(images, thresholds).free_response()
    np.testing.assert_equal(part.free_response().pd, expected.pd)
    np.testing.assert_equal(part.free_response().false_per_image, expected.false_per_image)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_threshold_has_more_components_than_peaks_are_kept(seed):
    images = random_images(seed, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peaks, "MAX_PEAKS", 8)
        thresholds = gathered(images).thresholds()
    for threshold in thresholds:
        assert sum(label_components(scores > threshold).count for scores, _ in images) <= 8


def test_a_noisy_map_is_counted_where_its_components_are_few(monkeypatch) -> None:
    monkeypatch.setattr(peaks, "MAX_PEAKS", 100)
    probability = np.random.default_rng(0).random((128, 160))
    curve = response([(probability, np.zeros(probability.shape))])
    assert curve.thresholds[-1] > 0.9
    assert 95 <= curve.false_per_image[-1] <= 100


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, bool])
def test_arrays_of_any_type_batches_and_tensors_agree(dtype) -> None:
    maps = np.zeros((3, 9, 11), dtype=dtype)
    maps[:, 2::3, ::4] = 1
    if np.dtype(dtype).kind == "f":
        maps[1:] /= dtype(3)
    masks = np.zeros(maps.shape, dtype=np.uint8)
    expected = gathered(zip(maps, masks, strict=True)).thresholds().tolist()
    assert len(expected) == (3 if np.dtype(dtype).kind == "f" else 2)
    batch = maps[:, None], masks[:, None]
    assert gathered([batch]).thresholds().tolist() == expected
    assert gathered([tuple(map(torch.from_numpy, batch))]).thresholds().tolist() == expected


def test_maps_without_a_score_are_counted_at_0() -> None:
    assert PeakScores().thresholds().tolist() == [0.0]
    assert gathered([(np.zeros((3, 3)), np.zeros((3, 3)))]).thresholds().tolist() == [0.0]


def test_a_faulty_pair_is_refused() -> None:
    with pytest.raises(DataError, match="got 0 to 7"):
        PeakScores().update(np.array([[0.0, 7.0]]), np.array([[0, 1]]))
