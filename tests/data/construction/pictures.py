"""Small images for the tests of similarity: textures with noise, and their near copies."""

import numpy as np
from scipy import ndimage


def texture(seed: int, shape: tuple[int, int] = (72, 90)) -> np.ndarray:
    """A random uint8 texture whose windows differ well above the constants of SSIM."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), rng.uniform(2.0, 5.0))
    field = (field - field.min()) / np.ptp(field)
    scaled = rng.uniform(60, 200) * field + rng.uniform(5, 40) + rng.normal(0, 2, shape)
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def noisy(image: np.ndarray, std: float, seed: int) -> np.ndarray:
    """The same image with more noise."""
    noise = np.random.default_rng(seed).normal(0, std, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(image.dtype)


def family(count: int) -> list[np.ndarray]:
    """Textures; every third one has a copy beside it, the noisier the later it comes."""
    images = []
    for seed in range(count):
        images.append(texture(seed))
        if seed % 3 == 0:
            images.append(noisy(images[-1], 1.0 + seed, seed))
    return images
