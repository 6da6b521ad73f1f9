"""Training augmentation: frames and mask together, by the recipe of each paper.

Order: geometry (scale and crop), flips, then what changes grey values: blur, brightness and
contrast, noise. Geometry and flips are the same for all frames of a clip, brightness, contrast and
noise are drawn for each. A crop holds a target with probability `target_crop`; without that, most
crops of a large image would show background alone.

Only what the crop will show is read and scaled: the window is drawn in whole pixels of the image,
and its size follows from the scale that is wanted, which it meets to half a pixel of the image.
"""

from collections.abc import Callable
from typing import assert_never

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from irstd.config import (
    AugmentationParams,
    CropParams,
    GeometryParams,
    LongSideParams,
    NativeParams,
    ScaleParams,
    ShorterSideParams,
    StretchParams,
)
from irstd.data.fitting import resize_averaged, resize_bilinear
from irstd.data.pixels import to_unit

Frames = Float32[np.ndarray, "t rows cols"]
Mask = Float32[np.ndarray, "rows cols"]
Size = tuple[int, int]
Window = tuple[slice, slice]
Resize = Callable[[np.ndarray, Size], np.ndarray]
Rng = np.random.Generator

BLUR_PX = 1.0
"""Largest standard deviation of the blur: ACM draws PIL's radius from [0, 1)."""


def augment(
    frames: Shaped[np.ndarray, "t h w"],
    mask: UInt8[np.ndarray, "h w"],
    crop: CropParams,
    settings: AugmentationParams,
    pad_value: float,
    rng: Rng,
) -> tuple[Frames, Mask]:
    """One training crop.

    Args:
        frames: (T, H, W), grey values as `irstd.data.pixels.to_unit` takes them; T is 1 for an
            image.
        mask: (H, W), 0 or 1, of the frame that is segmented.
        crop: size of the result.
        settings: ranges and probabilities.
        pad_value: grey value beside an image that is smaller than the crop.
        rng: the only source of randomness.

    Returns:
        Frames in [0, 1] and mask in [0, 1] (0 or 1 unless it is soft), both of the crop's size.
    """
    whole = (crop.height, crop.width)
    window, size, resize = _choose(mask, whole, settings.geometry, rng)
    shares = (settings.flip_horizontal, settings.flip_vertical, settings.transpose)
    flips = tuple(rng.random() < share for share in shares)
    planes = [_padded(resize(to_unit(frame[window]), size), whole, pad_value) for frame in frames]
    covered = _padded(resize_mask(mask[window], size, resize), whole, 0.0)
    result = np.stack([_flip(plane, *flips) for plane in planes])
    _change_greys(result, settings, rng)
    target = _flip(covered, *flips)
    return result, target if settings.mask == "soft" else _binary(target, settings.mask)


def _binary(covered: Mask, rule: str) -> Mask:
    return (covered > (0.5 if rule == "half" else 0.0)).astype(np.float32)


def _choose(
    mask: UInt8[np.ndarray, "h w"], crop: Size, geometry: GeometryParams, rng: Rng
) -> tuple[Window, Size, Resize]:
    """The window that the crop shows, the size it is brought to, and how."""
    size = mask.shape
    match geometry:
        case StretchParams():
            low, high = geometry.window.low, geometry.window.high
            rows, cols = (max(1, round(side * rng.uniform(low, high))) for side in size)
            top, left = rng.integers(size[0] - rows + 1), rng.integers(size[1] - cols + 1)
            return np.s_[top : top + rows, left : left + cols], crop, resize_bilinear
        case ShorterSideParams():
            factor = max(crop[0] / size[0], crop[1] / size[1])
            rows, cols = (max(crop[k], round(size[k] * factor)) for k in (0, 1))
            scaled, resize = (rows, cols), resize_bilinear
        case ScaleParams():
            scaled, resize = scaled_size(size, geometry, rng), resize_averaged
        case LongSideParams():
            limits = geometry.long_side_px
            factor = rng.integers(limits.low, limits.high, endpoint=True) / max(size)
            scaled, resize = _rounded(size[0] * factor, size[1] * factor), resize_averaged
        case NativeParams():
            scaled, resize = size, resize_bilinear
        case _:
            assert_never(geometry)
    return *draw_window(mask, scaled, crop, geometry.target_crop, rng), resize


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


def draw_window(
    mask: UInt8[np.ndarray, "h w"], scaled: Size, crop: Size, target_crop: float, rng: Rng
) -> tuple[Window, Size]:
    """Draw the part of an image that a crop of the scaled image shows.

    Args:
        mask: (H, W), 0 or 1, of the image as it is.
        scaled: (height, width) that the whole image would have.
        crop: (height, width) of the crop; where it is larger, it shows the whole side.
        target_crop: probability that the window holds a target pixel, if there is one.
        rng: source of the place.

    Returns:
        The window, and the size that it has in the crop.
    """
    sides = mask.shape
    size = (min(scaled[0], crop[0]), min(scaled[1], crop[1]))
    lengths = [max(1, round(sides[k] * size[k] / scaled[k])) for k in (0, 1)]
    least, most = [0, 0], [sides[k] - lengths[k] for k in (0, 1)]
    points = cv2.findNonZero(mask) if rng.random() < target_crop else None  # of (col, row)
    if points is not None:
        point = points.reshape(-1, 2)[rng.integers(len(points)), ::-1]
        least = [max(0, point[k] - lengths[k] + 1) for k in (0, 1)]
        most = [min(most[k], point[k]) for k in (0, 1)]
    top, left = rng.integers(least, most, endpoint=True)
    return np.s_[top : top + lengths[0], left : left + lengths[1]], size


def resize_mask(mask: UInt8[np.ndarray, "h w"], size: Size, resize: Resize) -> Mask:
    """The covered share of each pixel; only rows and columns with targets are computed.

    Args:
        mask: (H, W), 0 or 1.
        size: (height, width) of the result.
        resize: a rule that treats one side after the other.
    """
    covered = np.zeros(size, np.float32)
    left, _, width, _ = cv2.boundingRect(mask)
    columns = np.s_[left : left + width]
    if width:
        strip = resize(mask[:, columns].astype(np.float32), (size[0], width))
        rows = np.flatnonzero(strip.any(axis=1))
        band = np.zeros((len(rows), mask.shape[1]), np.float32)
        band[:, columns] = strip[rows]
        covered[rows] = resize(band, (len(rows), size[1]))
    return covered


def _padded(plane: Float32[np.ndarray, "h w"], size: Size, value: float) -> Mask:
    """Fill up with a value below and at the right."""
    rows, cols = size[0] - plane.shape[0], size[1] - plane.shape[1]
    if not (rows or cols):
        return plane
    return cv2.copyMakeBorder(plane, 0, rows, 0, cols, cv2.BORDER_CONSTANT, value=(value,))


def _change_greys(frames: Frames, settings: AugmentationParams, rng: Rng) -> None:
    """Change the frames in place; they stay in [0, 1]."""
    if rng.random() < settings.blur:
        sigma = max(rng.uniform(0.0, BLUR_PX), 1e-3)
        for frame in frames:
            cv2.GaussianBlur(frame, (0, 0), sigma, dst=frame)
    each = (len(frames), 1, 1)
    if settings.brightness:
        change = rng.uniform(-settings.brightness, settings.brightness, each)
        frames += np.where(rng.random(each) < 0.5, change, 0.0).astype(np.float32)
    if settings.contrast:
        factor = rng.uniform(1 - settings.contrast, 1 + settings.contrast, each)
        frames *= np.where(rng.random(each) < 0.5, factor, 1.0).astype(np.float32)
    if settings.noise_std:
        std = rng.uniform(0.0, settings.noise_std, each).astype(np.float32)
        noise = _white_noise(frames.shape, rng)
        noise *= std
        frames += noise
    np.clip(frames, 0.0, 1.0, out=frames)


def _white_noise(shape: tuple[int, ...], rng: Rng) -> Frames:
    """Standard normal values by OpenCV's generator, four times as fast as NumPy's."""
    noise = np.empty((shape[0], shape[1] * shape[2]), np.float32)
    cv2.setRNGSeed(int(rng.integers(1, 1 << 31)))
    cv2.randn(noise, np.zeros(1), np.ones(1))
    return noise.reshape(shape)


def _flip(
    plane: Float32[np.ndarray, "h w"], horizontal: bool, vertical: bool, transpose: bool
) -> Mask:
    """By OpenCV: copies of NumPy's transposed views take several times as long."""
    if horizontal or vertical:
        plane = cv2.flip(plane, int(horizontal) if horizontal != vertical else -1)
    return cv2.transpose(plane) if transpose else plane


def _rounded(height: float, width: float) -> Size:
    return max(1, round(height)), max(1, round(width))


def _log_uniform(low: float, high: float, rng: Rng) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
