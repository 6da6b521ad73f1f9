"""Training augmentation: image and mask together (ISPANet, V-A).

Scale, crop, horizontal flip and additive noise. A crop holds a target with probability
`target_crop`; without that, most crops of a large image would show background alone (ours: the
paper trains on whole images).
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from irstd.config import AugmentationParams, CropParams

Image = Float32[np.ndarray, "h w"]
Mask = UInt8[np.ndarray, "h w"]


def augment(
    image: Image,
    mask: Mask,
    crop: CropParams,
    settings: AugmentationParams,
    rng: np.random.Generator,
) -> tuple[Image, Mask]:
    """Scale, crop, flip and add noise.

    Args:
        image: (H, W) in [0, 1].
        mask: (H, W), 0 or 1.
        crop: size of the result.
        settings: ranges and probabilities.
        rng: the only source of randomness.

    Returns:
        Image in [0, 1] and mask, both of the crop's size; zeros where the image ends.
    """
    image, mask = random_scale(image, mask, settings, rng)
    image, mask = random_crop(image, mask, crop, settings.target_crop, rng)
    if rng.random() < settings.flip:
        image, mask = image[:, ::-1], mask[:, ::-1]
    noise = rng.normal(0.0, rng.uniform(0.0, settings.noise_std), image.shape)
    noisy = np.clip(image + noise.astype(np.float32), 0.0, 1.0)
    return noisy, np.ascontiguousarray(mask)


def random_scale(
    image: Image, mask: Mask, settings: AugmentationParams, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Multiply the aspect ratio and the long side by factors drawn evenly on a logarithmic scale.

    The image is averaged over areas where it shrinks and interpolated linearly where it grows; a
    mask pixel is target where more than half of it is covered.
    """
    height, width = image.shape
    ratio = (
        width / height * _log_uniform(settings.aspect_ratio.low, settings.aspect_ratio.high, rng)
    )
    scale = _log_uniform(settings.long_side_scale.low, settings.long_side_scale.high, rng)
    long_side = max(height, width) * scale
    rows = max(1, round(long_side if ratio < 1 else long_side / ratio))
    cols = max(1, round(long_side * ratio if ratio < 1 else long_side))
    how = cv2.INTER_AREA if rows * cols < height * width else cv2.INTER_LINEAR
    scaled = cv2.resize(image, (cols, rows), interpolation=how)
    covered = cv2.resize(mask.astype(np.float32), (cols, rows), interpolation=how)
    return scaled, (covered > 0.5).astype(np.uint8)


def random_crop(
    image: Image, mask: Mask, crop: CropParams, target_crop: float, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Cut out a window, with zeros at the bottom and right where the image is smaller."""
    rows, cols = max(0, crop.height - image.shape[0]), max(0, crop.width - image.shape[1])
    if rows or cols:
        image = np.pad(image, ((0, rows), (0, cols)))
        mask = np.pad(mask, ((0, rows), (0, cols)))
    top_limit, left_limit = image.shape[0] - crop.height, image.shape[1] - crop.width
    tops, lefts = (0, top_limit), (0, left_limit)
    wants_target = rng.random() < target_crop
    points = np.argwhere(mask) if wants_target else np.empty((0, 2), np.int64)
    if len(points):
        row, col = points[rng.integers(len(points))]
        tops = (max(0, row - crop.height + 1), min(top_limit, row))
        lefts = (max(0, col - crop.width + 1), min(left_limit, col))
    top, left = rng.integers(tops[0], tops[1] + 1), rng.integers(lefts[0], lefts[1] + 1)
    window = np.s_[top : top + crop.height, left : left + crop.width]
    return image[window], mask[window]


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
