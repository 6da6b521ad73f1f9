"""Checks of what the metrics take: probability maps and masks from NumPy or torch, on any device.

Comparisons run where the array lies; one byte per pixel is copied to the host.
"""

from numbers import Real

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from irstd.errors import ConfigError, DataError

Array = Shaped[np.ndarray, "..."] | Shaped[Tensor, "..."]


def read_pair(
    probability: Array, mask: Array, threshold: float
) -> tuple[Bool[np.ndarray, "n h w"], Bool[np.ndarray, "n h w"]]:
    """Check a pair, apply the threshold, and bring both to the host as images.

    Args:
        probability: (H, W) or (N, 1, H, W), in [0, 1].
        mask: the same shape, 1 on target pixels and 0 elsewhere.
        threshold: a pixel is predicted where its probability is strictly greater.

    Returns:
        Predicted pixels and target pixels; N is 1 for (H, W).

    Raises:
        DataError: see `check_pair`.
    """
    check_pair(probability, mask)
    return predicted_pixels(probability, threshold), target_pixels(mask)


def check_pair(probability: Array, mask: Array) -> None:
    """Check shapes and values of a probability map and its ground truth.

    Raises:
        DataError: an empty array, shapes that differ or are neither (H, W) nor (N, 1, H, W), a
            probability outside [0, 1] or NaN, a mask with another value than 0 and 1.
    """
    shape = tuple(probability.shape)
    if shape != tuple(mask.shape):
        raise DataError(
            f"probability has shape {shape}, mask {tuple(mask.shape)}; they must be equal: bring "
            "the probability map back to the grid of the original mask"
        )
    if not (len(shape) == 2 or (len(shape) == 4 and shape[1] == 1)) or 0 in shape:
        raise DataError(f"expected shape (H, W) or (N, 1, H, W) without an empty axis, got {shape}")
    _check_probability(probability)
    _check_binary(mask)


def check_threshold(threshold: float) -> float:
    """Return the threshold as a float.

    Raises:
        ConfigError: it is no number or not in [0, 1].
    """
    if not (isinstance(threshold, Real) and 0.0 <= threshold <= 1.0):
        raise ConfigError(f"threshold: expected a probability in [0, 1], got {threshold!r}")
    return float(threshold)


def check_distance(distance: float) -> float:
    """Return a matching distance in pixels as a float.

    Raises:
        ConfigError: it is no number, negative, infinite or NaN.
    """
    if not (isinstance(distance, Real) and np.isfinite(distance) and distance >= 0.0):
        raise ConfigError(f"distance: expected a finite number of pixels >= 0, got {distance!r}")
    return float(distance)


def predicted_pixels(probability: Array, threshold: float) -> Bool[np.ndarray, "n h w"]:
    """Pixels of a checked map whose probability is strictly above the threshold.

    The threshold is not rounded to the precision of the map.
    """
    if isinstance(probability, Tensor):
        return _as_images(probability.double() > threshold)
    return _as_images(probability > np.float64(threshold))


def eight_bit_pixels(probability: Array, threshold: float) -> Bool[np.ndarray, "n h w"]:
    """Pixels of a checked map that, rounded to a multiple of 1/255, reach the threshold.

    Halves are rounded to even, so the limit itself is reached if the multiple above it is even.
    """
    level = int(np.searchsorted(np.arange(256) / 255, threshold))
    limit = (level - 0.5) / 255
    values = probability.double() if isinstance(probability, Tensor) else probability
    return _as_images(values >= np.float64(limit) if level % 2 == 0 else values > np.float64(limit))


def target_pixels(mask: Array) -> Bool[np.ndarray, "n h w"]:
    """Pixels of a checked mask that belong to a target."""
    return _as_images(mask > 0)


def exceeded_thresholds(
    probability: Array, thresholds: Float64[np.ndarray, " k"]
) -> Int64[np.ndarray, "n h w"]:
    """Number of ascending thresholds that each pixel of a checked map is strictly above."""
    if isinstance(probability, Tensor):
        limits = torch.from_numpy(thresholds).to(probability.device)
        host = torch.bucketize(probability.detach().double(), limits).cpu().numpy()
    else:
        # Most pixels are below all thresholds and need no search.
        host = np.zeros(probability.shape, dtype=np.int64)
        active = probability > thresholds[0]
        host[active] = np.searchsorted(thresholds, probability[active].astype(np.float64))
    return host.reshape(-1, *host.shape[-2:])


def _as_images(flags: Array) -> Bool[np.ndarray, "n h w"]:
    host = flags.cpu().numpy() if isinstance(flags, Tensor) else flags
    return host.reshape(-1, *host.shape[-2:])


def _check_probability(probability: Array) -> None:
    values = probability.detach() if isinstance(probability, Tensor) else probability
    low, high = float(values.min()), float(values.max())  # NaN if any value is
    if not (low >= 0.0 and high <= 1.0):
        raise DataError(
            f"probability: expected values in [0, 1], got {low:g} to {high:g} in a map of shape "
            f"{tuple(values.shape)}; logits need a sigmoid first, NaN means the network diverged"
        )


def _check_binary(mask: Array) -> None:
    wrong = (mask != 0) & (mask != 1)
    if bool(wrong.any()):
        raise DataError(
            f"mask: expected only 0 and 1, got {float(mask[wrong][0]):g} among others in a mask of "
            f"shape {tuple(mask.shape)}; make grey masks binary when they are loaded (value > 127)"
        )
