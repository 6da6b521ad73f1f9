import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irstd.errors import ConfigError, DataError
from irstd.metrics.histogram import ScoreHistogram


def histogram(images, bins: int = 1024) -> ScoreHistogram:
    scores = ScoreHistogram(bins)
    for probability, mask in images:
        scores.update(probability, mask)
    return scores


@pytest.mark.parametrize("name", ["all", "real", "s256", "distance"])
def test_roc_equals_a_published_code_with_201_thresholds(golden, name):
    images = [golden.cases[case] for case in golden.sets[name]]
    roc, published = histogram(images, bins=200).roc(), golden.roc200[name]
    n_target = sum(int(mask.sum()) for _, mask in images)
    n_background = sum(mask.size for _, mask in images) - n_target
    tpr_factor = n_target / (n_target + 1e-3)  # that code adds 0.001 to both denominators
    fpr_factor = n_background / (n_background + 1e-3)
    every_20th = slice(None, None, -20)
    assert roc.tpr[every_20th] * tpr_factor == pytest.approx(published["tp_rates200"], rel=1e-9)
    assert roc.fpr[every_20th] * fpr_factor == pytest.approx(published["fp_rates200"], rel=1e-9)
    assert roc.auc * tpr_factor * fpr_factor == pytest.approx(published["auc200"], rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bins=st.sampled_from([1, 2, 7, 64, 200]))
def test_each_point_equals_thresholding(seed, bins):
    rng = np.random.default_rng(seed)
    probability = rng.integers(0, 65, (2, 1, 6, 5)).astype(np.float32) / 64
    mask = rng.random(probability.shape) < 0.3
    mask.flat[0], mask.flat[1] = True, False
    scores = histogram([(probability, mask)], bins)
    roc, pr, overlap = scores.roc(), scores.pr(), scores.overlap()
    falling = [k / bins for k in range(bins, -1, -1)]
    assert all(curve.thresholds.tolist() == falling for curve in (roc, pr, overlap))
    for position, threshold in enumerate(roc.thresholds):
        above = probability.astype(np.float64) > threshold
        tp, fp = int((above & mask).sum()), int((above & ~mask).sum())
        assert roc.tpr[position] == pr.recall[position] == tp / mask.sum()
        assert roc.fpr[position] == fp / (~mask).sum()
        expected = tp / (tp + fp) if tp + fp else math.nan
        np.testing.assert_equal(pr.precision[position], expected)
        assert overlap.iou[position] == tp / (fp + mask.sum())
        assert overlap.f1[position] == 2 * tp / (2 * tp + fp + (mask & ~above).sum())


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [10, 100, 200, 1024])
def test_thresholds_themselves_and_their_neighbours_are_exact(bins, kind):
    """Some products such as 0.035 * 200 are rounded up in floating point."""
    exact = np.arange(bins + 1, dtype=kind) / kind(bins)
    near = np.concatenate([exact, np.nextafter(exact, kind(0)), np.nextafter(exact, kind(1))])
    probability = near[None]
    above = probability.astype(np.float64)[..., None] > np.arange(bins + 1) / bins
    expected = np.bincount(above.sum(axis=-1).ravel(), minlength=bins + 1)
    mask = np.zeros(probability.shape)
    for image in ((probability, mask), (torch.from_numpy(probability), torch.from_numpy(mask))):
        np.testing.assert_array_equal(histogram([image], bins).background, expected)


def test_area_is_the_share_of_ordered_pairs():
    rng = np.random.default_rng(3)
    probability = rng.integers(0, 9, (20, 20)) / 8
    mask = rng.random((20, 20)) < 0.4
    target, background = probability[mask][:, None], probability[~mask][None]
    ordered = (target > background).mean() + 0.5 * (target == background).mean()
    assert histogram([(probability, mask)], bins=8).roc().auc == pytest.approx(ordered)


def test_average_precision_by_hand():
    probability = np.array([[0.9, 0.7, 0.6, 0.3, 0.0, 0.0]])
    mask = np.array([[1, 0, 1, 0, 0, 1]])
    average = 1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 6
    assert histogram([(probability, mask)], 100).pr().average_precision == pytest.approx(average)


def test_a_perfect_map_has_full_areas():
    mask = np.eye(8, dtype=np.uint8)
    scores = histogram([(mask.astype(np.float32), mask)], bins=4)
    assert scores.roc().auc == scores.pr().average_precision == 1.0


def test_without_targets_the_curves_are_undefined():
    scores = histogram([(np.full((3, 3), 0.4), np.zeros((3, 3)))])
    assert math.isnan(scores.roc().auc)
    assert math.isnan(scores.pr().average_precision)
    assert scores.roc().fpr[-1] == 1.0
    assert scores.overlap().iou[-1] == 0.0
    assert math.isnan(scores.overlap().f1[0])  # nothing is above 1: neither target nor prediction


def test_merged_histograms_equal_one_pass(golden):
    images = list(golden.cases.values())
    first, second = histogram(images[:30]), histogram(images[30:])
    first.merge(second)
    whole = histogram(images)
    assert np.array_equal(first.target, whole.target)
    assert np.array_equal(first.background, whole.background)
    assert first.roc().auc == whole.roc().auc


def test_tensors_fall_into_the_same_bins(golden):
    images = [golden.cases[name] for name in golden.sets["s256"]]
    tensors = [(torch.from_numpy(p), torch.from_numpy(mask)) for p, mask in images]
    for mixed in (tensors, [(p, mask.numpy()) for p, mask in tensors]):
        found = histogram(mixed)
        assert np.array_equal(found.target, histogram(images).target)
        assert np.array_equal(found.background, histogram(images).background)


def test_histograms_refuse_what_does_not_fit():
    with pytest.raises(ConfigError, match="8 bins into one of 1024"):
        ScoreHistogram().merge(ScoreHistogram(8))
    with pytest.raises(ConfigError, match="bins: expected at least 1, got 0"):
        ScoreHistogram(0)
    with pytest.raises(DataError, match="got 0 to 7"):
        ScoreHistogram().update(np.array([[0.0, 7.0]]), np.array([[0, 1]]))
