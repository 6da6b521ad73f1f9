import numpy as np
import pytest

from irstd.data.construction.sketch import DIMENSIONS, near_pairs, sketch
from irstd.data.construction.ssim import C2, WEIGHTS, _similarities, window_statistics
from irstd.data.pixels import to_unit
from tests.data.construction.pictures import noisy, texture


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over all windows and, weighted, their pixels of the squared difference of structure."""
    (mean, variance), (other_mean, other_variance) = map(window_statistics, (first, second))
    x, y = to_unit(first).astype(np.float64), to_unit(second).astype(np.float64)
    total, (height, width) = 0.0, mean.shape
    for row, row_weight in enumerate(WEIGHTS):
        for col, col_weight in enumerate(WEIGHTS):
            part = slice(row, row + height), slice(col, col + width)
            difference = (x[part] - mean) / np.sqrt(2 * variance + C2)
            difference -= (y[part] - other_mean) / np.sqrt(2 * other_variance + C2)
            total += row_weight * col_weight * float((difference**2).mean())
    return total


def test_the_distance_of_structure_is_at_most_what_similarity_lacks() -> None:
    for seed in range(4):
        first, second = texture(seed), noisy(texture(seed), 15, seed)
        lacking = np.minimum(1 - _similarities(first, second), 1.0).mean()
        assert _distance(first, second) <= lacking


def test_squared_distances_survive() -> None:
    images = [texture(seed) for seed in range(6)]
    sketches = sketch(images)
    ratios = [
        ((sketches[i] - sketches[j]) ** 2).sum() / _distance(images[i], images[j])
        for i in range(6)
        for j in range(i)
    ]
    spread = np.sqrt(2 / DIMENSIONS)
    assert np.mean(ratios) == pytest.approx(1.0, abs=2 * spread)
    assert np.abs(np.array(ratios) - 1.0).max() < 5 * spread


def test_near_copies_meet_and_unrelated_images_do_not() -> None:
    images = [texture(seed) for seed in range(12)]
    images += [noisy(image, 3, seed) for seed, image in enumerate(images[:4])]
    pairs = near_pairs(sketch(images), 0.85)
    assert [[k, 12 + k] for k in range(4)] == pairs.tolist()


def test_featureless_images_are_all_near() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(99, 101, (40, 40)).astype(np.uint8) for _ in range(4)]
    assert len(near_pairs(sketch(images), 0.85)) == 6


def test_no_pair_is_an_empty_table() -> None:
    assert near_pairs(sketch([texture(0), texture(1)]), 0.9).shape == (0, 2)
