"""Training augmentation: frames and mask together, by the recipe of each paper.

Order: geometry (scale, window, crop), flips, then what changes grey values: blur, brightness and
contrast, noise. The geometry is the same for all frames of a clip, brightness, contrast and noise
are drawn for each. A crop holds a target with probability `target_crop`; without that, most crops
of a large image would show background alone.
"""

from collections.abc import Callable
from typing import assert_never

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from irstd.config import (
    AugmentationParams,
    CropParams,
    LongSideParams,
    NativeParams,
    ScaleParams,
    ShorterSideParams,
    StretchParams,
)
from irstd.data.fitting import resize_bilinear

Frames = Float32[np.ndarray, "t h w"]
Mask = Float32[np.ndarray, "h w"]
Size = tuple[int, int]
Rng = np.random.Generator

BLUR_PX = 1.0
"""Largest standard deviation of the blur: ACM draws PIL's radius from [0, 1)."""


def augment(
    frames: Frames,
    mask: UInt8[np.ndarray, "h w"],
    crop: CropParams,
    settings: AugmentationParams,
    pad_value: float,
    rng: Rng,
) -> tuple[Frames, Mask]:
    """One training crop.

    Args:
        frames: (T, H, W) in [0, 1]; T is 1 for an image.
        mask: (H, W), 0 or 1, of the frame that is segmented.
        crop: size of the result.
        settings: ranges and probabilities.
        pad_value: grey value beside an image that is smaller than the crop.
        rng: the only source of randomness.

    Returns:
        Frames in [0, 1] and mask in [0, 1] (0 or 1 unless it is soft), both of the crop's size.
    """
    frames, covered = _place(frames, mask.astype(np.float32), crop, settings, pad_value, rng)
    target = covered if settings.mask == "soft" else _binary(covered, settings.mask)
    frames, target = _flip(frames, target, settings, rng)
    frames = _change_greys(frames, settings, rng)
    return np.ascontiguousarray(frames, np.float32), np.ascontiguousarray(target, np.float32)


def _binary(covered: Mask, rule: str) -> Mask:
    return (covered > (0.5 if rule == "half" else 0.0)).astype(np.float32)


def _place(
    frames: Frames,
    mask: Mask,
    crop: CropParams,
    settings: AugmentationParams,
    pad_value: float,
    rng: Rng,
) -> tuple[Frames, Mask]:
    """Scale and crop as the geometry says; the mask is the covered share of each pixel."""
    geometry, size = settings.geometry, mask.shape
    match geometry:
        case StretchParams():
            low, high = geometry.window.low, geometry.window.high
            rows, cols = (max(1, round(side * rng.uniform(low, high))) for side in size)
            top, left = rng.integers(size[0] - rows + 1), rng.integers(size[1] - cols + 1)
            window = np.s_[..., top : top + rows, left : left + cols]
            whole = (crop.height, crop.width)
            return resize(frames[window], mask[window], whole, resize_bilinear)
        case ShorterSideParams():
            factor = max(crop.height / size[0], crop.width / size[1])
            larger = (
                max(crop.height, round(size[0] * factor)),
                max(crop.width, round(size[1] * factor)),
            )
            frames, mask = resize(frames, mask, larger, resize_bilinear)
        case ScaleParams():
            frames, mask = resize(frames, mask, scaled_size(size, geometry, rng), resize_averaged)
        case LongSideParams():
            limits = geometry.long_side_px
            factor = rng.integers(limits.low, limits.high, endpoint=True) / max(size)
            scaled = _rounded(size[0] * factor, size[1] * factor)
            frames, mask = resize(frames, mask, scaled, resize_averaged)
        case NativeParams():
            pass
        case _:
            assert_never(geometry)
    return random_crop(frames, mask, crop, geometry.target_crop, pad_value, rng)


def scaled_size(size: Size, geometry: ScaleParams, rng: Rng) -> Size:
    """Multiply long side and aspect ratio by factors drawn evenly on a logarithmic scale."""
    height, width = size
    aspect = geometry.aspect_ratio
    ratio = width / height * _log_uniform(aspect.low, aspect.high, rng)
    scale = _log_uniform(geometry.long_side_scale.low, geometry.long_side_scale.high, rng)
    long_side = max(height, width) * scale
    if ratio < 1:
        return _rounded(long_side, long_side * ratio)
    return _rounded(long_side / ratio, long_side)


def resize(
    frames: Frames, mask: Mask, size: Size, how: Callable[[Mask, Size], Mask]
) -> tuple[Frames, Mask]:
    """Frames and mask at another size, all by the same rule."""
    *scaled, covered = (how(np.ascontiguousarray(plane), size) for plane in (*frames, mask))
    return np.stack(scaled), covered


def resize_averaged(plane: Mask, size: Size) -> Mask:
    """Average over areas where the image shrinks, interpolate linearly where it grows.

    For scales that are drawn: they stand for sizes at which scenes are met, and an average keeps of
    a target of few pixels what a sensor would, wherever it stands. A size that inference brings
    images to is reached as there, by `resize_bilinear`.
    """
    if size[0] * size[1] >= plane.size:
        return resize_bilinear(plane, size)
    return cv2.resize(plane, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def random_crop(
    frames: Frames, mask: Mask, crop: CropParams, target_crop: float, pad_value: float, rng: Rng
) -> tuple[Frames, Mask]:
    """Cut out a window; below and at the right of a smaller image stands `pad_value`."""
    rows, cols = (max(0, crop.height - mask.shape[0]), max(0, crop.width - mask.shape[1]))
    if rows or cols:
        frames = np.pad(frames, ((0, 0), (0, rows), (0, cols)), constant_values=pad_value)
        mask = np.pad(mask, ((0, rows), (0, cols)))
    top_limit, left_limit = mask.shape[0] - crop.height, mask.shape[1] - crop.width
    tops, lefts = (0, top_limit), (0, left_limit)
    wants_target = rng.random() < target_crop
    points = np.argwhere(mask > 0) if wants_target else np.empty((0, 2), np.int64)
    if len(points):
        row, col = points[rng.integers(len(points))]
        tops = (max(0, row - crop.height + 1), min(top_limit, row))
        lefts = (max(0, col - crop.width + 1), min(left_limit, col))
    top, left = rng.integers(tops[0], tops[1] + 1), rng.integers(lefts[0], lefts[1] + 1)
    window = np.s_[..., top : top + crop.height, left : left + crop.width]
    return frames[window], mask[window]


def _flip(
    frames: Frames, mask: Mask, settings: AugmentationParams, rng: Rng
) -> tuple[Frames, Mask]:
    if rng.random() < settings.flip_horizontal:
        frames, mask = frames[..., ::-1], mask[..., ::-1]
    if rng.random() < settings.flip_vertical:
        frames, mask = frames[..., ::-1, :], mask[::-1]
    if rng.random() < settings.transpose:
        frames, mask = frames.swapaxes(-1, -2), mask.T
    return frames, mask


def _change_greys(frames: Frames, settings: AugmentationParams, rng: Rng) -> Frames:
    if rng.random() < settings.blur:
        sigma = max(rng.uniform(0.0, BLUR_PX), 1e-3)
        frames = np.stack(
            [cv2.GaussianBlur(np.ascontiguousarray(f), (0, 0), sigma) for f in frames]
        )
    each = (len(frames), 1, 1)
    if settings.brightness:
        change = rng.uniform(-settings.brightness, settings.brightness, each)
        frames = frames + np.where(rng.random(each) < 0.5, change, 0.0)
    if settings.contrast:
        factor = rng.uniform(1 - settings.contrast, 1 + settings.contrast, each)
        frames = frames * np.where(rng.random(each) < 0.5, factor, 1.0)
    if settings.noise_std:
        frames = frames + rng.normal(0.0, rng.uniform(0.0, settings.noise_std, each), frames.shape)
    return frames.clip(0.0, 1.0)


def _rounded(height: float, width: float) -> Size:
    return max(1, round(height)), max(1, round(width))


def _log_uniform(low: float, high: float, rng: Rng) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
