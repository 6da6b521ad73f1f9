import math

import numpy as np
import pytest

from irstd.errors import ConfigError, DataError
from irstd.metrics import DetectionMetrics
from irstd.metrics.baseline import best_global_threshold


def f1_target(images, masks, threshold: float) -> float:
    metrics = DetectionMetrics()
    for image, mask in zip(images, masks, strict=True):
        metrics.update((image > threshold).astype(np.float32), mask)
    return metrics.compute()["f1_target"]


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets of 8-bit grey on a smooth background with hot clutter."""
    rng = np.random.default_rng(seed)
    image = rng.integers(40, 90, (40, 40)).astype(np.float32)
    mask = np.zeros((40, 40), dtype=np.uint8)
    for row, col in rng.integers(3, 37, (3, 2)):
        mask[row - 1 : row + 2, col - 1 : col + 2] = 1
    image[mask > 0] += rng.integers(20, 90, int(mask.sum()))
    image[5:9, 30:34] = 200  # hotter than any target
    mask[4:10, 29:35] = 0
    return image / np.float32(255), mask


@pytest.mark.parametrize("seed", range(4))
def test_no_grey_level_is_better(seed):
    images, masks = zip(*[scene(10 * seed + k) for k in range(3)], strict=True)
    threshold, found = best_global_threshold(images, masks, 2.0, thresholds=256)
    exhaustive = max(f1_target(images, masks, level / 255) for level in range(255))
    assert found == pytest.approx(f1_target(images, masks, threshold))
    assert exhaustive - 0.05 <= found <= exhaustive


def test_targets_brighter_than_everything_are_all_found():
    image = np.full((20, 20), 0.3, dtype=np.float32)
    mask = np.zeros((20, 20), dtype=np.uint8)
    image[4, 4], image[12:14, 12:14] = 0.8, 0.6
    mask[4, 4] = mask[12:14, 12:14] = 1
    threshold, found = best_global_threshold([image], [mask], 2.0, thresholds=2)
    assert found == 1.0
    assert 0.3 < threshold < 0.6


def test_a_single_one_pixel_target_is_above_its_threshold():
    image = np.zeros((5, 5), dtype=np.float32)
    image[2, 2] = 1.0
    threshold, found = best_global_threshold([image], [(image > 0).astype(np.uint8)], 2.0)
    assert found == 1.0
    assert threshold == pytest.approx(1.0, abs=1e-6)


def test_images_without_target_add_false_components():
    image, mask = scene(1)
    _, alone = best_global_threshold([image], [mask], 2.0)
    _, with_empty = best_global_threshold([image, image], [mask, np.zeros_like(mask)], 2.0)
    assert with_empty < alone


def test_without_any_target_it_is_undefined():
    image, mask = scene(2)
    assert all(math.isnan(x) for x in best_global_threshold([image], [np.zeros_like(mask)], 2.0))


def test_wrong_arguments_are_refused():
    image, mask = scene(3)
    with pytest.raises(ConfigError, match="at least 2 candidates, got 1"):
        best_global_threshold([image], [mask], 2.0, thresholds=1)
    with pytest.raises(ConfigError, match=r"distance: .*got -1"):
        best_global_threshold([image], [mask], -1.0)
    with pytest.raises(DataError, match="1 images and 2 masks"):
        best_global_threshold([image], [mask, mask], 2.0)
    with pytest.raises(DataError, match=r"values in \[0, 1\], got 0 to 7"):
        best_global_threshold([np.where(mask > 0, 7.0, 0.0)], [mask], 2.0)
