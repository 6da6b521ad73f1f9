"""The yardstick of a data set: what the best single grey threshold would reach."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from irstd.errors import ConfigError, DataError
from irstd.metrics.components import Components, label_components
from irstd.metrics.inputs import check_distance, check_pair
from irstd.metrics.matching import match_components

Image = Float[np.ndarray, "_ _"]


def best_global_threshold(
    images: Sequence[Image], masks: Sequence[np.ndarray], distance: float, thresholds: int = 64
) -> tuple[float, float]:
    """Detect by `grey > threshold` with one threshold for all images, the best one in hindsight.

    Candidates are grey values that targets have: half of `thresholds` are evenly spaced quantiles
    of all target pixels, half are evenly spaced quantiles of the targets' largest values. Each
    stands for the threshold just below it, so a pixel of that value is a detection.

    Args:
        images: grey values in [0, 1], each (H, W).
        masks: the same shapes, 1 on target pixels and 0 elsewhere.
        distance: largest distance between the centroids of a pair, in pixels, inclusive.
        thresholds: largest number of candidates, at least 2.

    Returns:
        The threshold and its F1-T over all images, 2 pairs / (targets + predicted components); of
        equal ones the lowest threshold. Both NaN if there is no target.

    Raises:
        ConfigError: fewer than 2 candidates, or a distance negative or not finite.
        DataError: not as many masks as images, or see `irstd.metrics.inputs.check_pair`.
    """
    limit = check_distance(distance)
    if thresholds < 2:
        raise ConfigError(f"thresholds: expected at least 2 candidates, got {thresholds}")
    if len(images) != len(masks):
        raise DataError(
            f"expected one mask per image, got {len(images)} images and {len(masks)} masks"
        )
    for image, mask in zip(images, masks, strict=True):
        check_pair(image, mask)
    levels = _candidate_thresholds(images, masks, thresholds)
    if not len(levels):
        return float("nan"), float("nan")
    pairs, components = np.zeros(len(levels)), np.zeros(len(levels))
    for image, mask in zip(images, masks, strict=True):
        targets = label_components(mask > 0)
        for position, level in enumerate(levels):
            predicted = label_components(image > level)
            pairs[position] += len(match_components(targets, predicted, limit))
            components[position] += targets.count + predicted.count
    f1_target = 2 * pairs / components
    best = int(np.argmax(f1_target))
    return float(levels[best]), float(f1_target[best])


def _candidate_thresholds(
    images: Sequence[Image], masks: Sequence[np.ndarray], count: int
) -> Float[np.ndarray, " k"]:
    pixels, peaks = [np.empty(0)], [np.empty(0)]
    for image, mask in zip(images, masks, strict=True):
        targets = label_components(mask > 0)
        pixels.append(image[mask > 0])
        peaks.append(_largest_values(image, targets))
    values = [np.concatenate(pixels), np.concatenate(peaks)]
    if not len(values[0]):
        return np.empty(0)
    shares = [np.linspace(0.0, 1.0, count // 2), np.linspace(0.0, 1.0, count - count // 2)]
    grey = [
        np.quantile(v, share, method="inverted_cdf")
        for v, share in zip(values, shares, strict=True)
    ]
    return np.nextafter(np.unique(np.concatenate(grey)).astype(np.float32), np.float32(-1.0))


def _largest_values(image: Image, targets: Components) -> Float[np.ndarray, " n"]:
    return np.asarray(
        ndimage.maximum(image, targets.labels, np.arange(1, targets.count + 1)), dtype=np.float64
    )
