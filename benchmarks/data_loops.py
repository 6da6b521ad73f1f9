"""Data handling as public code does it: decode PNG with PIL, augment with NumPy, per sample.

The augmentations are those of `irstd.data.transforms` in the same order and with the same ranges,
and what a recipe switches off is left out as there, so that both sides do the same work. Random
values come from NumPy's global generator, as in public code.
"""

# ruff: noqa: NPY002 - the global generator is what is compared with

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from scipy import ndimage
from torch.utils.data import DataLoader, Dataset

from irstd.config import RecipeParams, ScaleParams
from irstd.data.index import SCR_MARGIN_PX

Pair = tuple[np.ndarray, np.ndarray]


def decode(folder: Path, name: str) -> tuple[Image.Image, Image.Image]:
    """Image and mask of the SIRST layout, in memory."""
    files = (folder / "images" / f"{name}.png", folder / "masks" / f"{name}_pixels0.png")
    image, mask = (Image.open(file).convert("L") for file in files)
    return image, mask


class PlainCrops(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Augmented crops of a folder.

    Args:
        folder: in the layout of SIRST.
        names: ids of its images.
        recipe: crop and augmentation.

    Raises:
        TypeError: its geometry is not `scale`.
    """

    def __init__(self, folder: Path, names: Sequence[str], recipe: RecipeParams) -> None:
        self.folder, self.names = folder, names
        self.size, self.settings = recipe.crop, recipe.augmentation
        if not isinstance(recipe.augmentation.geometry, ScaleParams):
            name = recipe.augmentation.geometry.name
            raise TypeError(f"expected the geometry scale, got {name}; choose another recipe")
        self.geometry = recipe.augmentation.geometry

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode and augment one image."""
        pair = self._cropped(*self._scaled(*decode(self.folder, self.names[position])))
        image, mask = self._changed(*self._flipped(*pair))
        return torch.from_numpy(image[None].copy()), torch.from_numpy(mask[None].copy())

    def _scaled(self, image: Image.Image, mask: Image.Image) -> Pair:
        scale, aspect = self.geometry.long_side_scale, self.geometry.aspect_ratio
        ratio = image.width / image.height * np.random.uniform(aspect.low, aspect.high)
        long_side = max(image.size) * np.random.uniform(scale.low, scale.high)
        size = (long_side, long_side / ratio) if ratio > 1 else (long_side * ratio, long_side)
        width, height = (max(1, round(side)) for side in size)
        scaled = image.resize((width, height), Image.Resampling.BILINEAR)
        covered = mask.resize((width, height), Image.Resampling.NEAREST)
        return np.array(scaled), np.array(covered)

    def _cropped(self, image: np.ndarray, mask: np.ndarray) -> Pair:
        """Pad with zeros and cut out, around a target as often as asked."""
        height, width = self.size.height, self.size.width
        rows, cols = max(0, height - mask.shape[0]), max(0, width - mask.shape[1])
        image, mask = (np.pad(plane, ((0, rows), (0, cols))) for plane in (image, mask))
        limits = (mask.shape[0] - height, mask.shape[1] - width)
        top, left = (np.random.randint(limit + 1) for limit in limits)
        targets = np.argwhere(mask > 0)
        if len(targets) and np.random.rand() < self.geometry.target_crop:
            row, col = targets[np.random.randint(len(targets))]
            top = np.random.randint(max(0, row - height + 1), min(limits[0], row) + 1)
            left = np.random.randint(max(0, col - width + 1), min(limits[1], col) + 1)
        window = np.s_[top : top + height, left : left + width]
        return image[window], mask[window]

    def _flipped(self, image: np.ndarray, mask: np.ndarray) -> Pair:
        if np.random.rand() < self.settings.flip_horizontal:
            image, mask = image[:, ::-1], mask[:, ::-1]
        if np.random.rand() < self.settings.flip_vertical:
            image, mask = image[::-1], mask[::-1]
        if np.random.rand() < self.settings.transpose:
            image, mask = image.T, mask.T
        return image, mask

    def _changed(self, image: np.ndarray, mask: np.ndarray) -> Pair:
        """Change grey values, and scale both to [0, 1]."""
        settings = self.settings
        if np.random.rand() < settings.blur:
            radius = ImageFilter.GaussianBlur(radius=np.random.rand())
            image = np.array(Image.fromarray(image).filter(radius))
        unit = image / 255.0
        if settings.brightness and np.random.rand() < 0.5:
            unit = unit + np.random.uniform(-settings.brightness, settings.brightness)
        if settings.contrast and np.random.rand() < 0.5:
            unit = unit * np.random.uniform(1 - settings.contrast, 1 + settings.contrast)
        if settings.noise_std:
            std = np.random.uniform(0, settings.noise_std)
            unit = unit + np.random.normal(0, std, unit.shape)
        return np.clip(unit, 0, 1).astype(np.float32), (mask > 0).astype(np.float32)


def plain_loader(
    folder: Path, names: Sequence[str], recipe: RecipeParams
) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches in this process."""
    crops = PlainCrops(folder, names, recipe)
    return DataLoader(crops, recipe.batch_size, shuffle=True, drop_last=True)


def plain_statistics(image: np.ndarray, mask: np.ndarray) -> list[tuple[float, ...]]:
    """Area, height, width and SCR of each target of an image by masks of the whole image."""
    labels, count = ndimage.label(mask > 0, np.ones((3, 3)))
    figures = []
    for number in range(1, count + 1):
        target = labels == number
        rows, cols = np.nonzero(target)
        around = np.zeros_like(target)
        top, left = (max(0, side.min() - SCR_MARGIN_PX) for side in (rows, cols))
        bottom, right = rows.max() + SCR_MARGIN_PX + 1, cols.max() + SCR_MARGIN_PX + 1
        around[top:bottom, left:right] = True
        background = image[around & (labels == 0)].astype(float)
        step = image[target].astype(float).mean() - background.mean()
        box = (np.ptp(rows) + 1, np.ptp(cols) + 1)
        figures.append((target.sum(), *box, abs(step) / background.std()))
    return figures
