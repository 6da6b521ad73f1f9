"""Batches in an order that depends on the seed and the epoch alone, so that training can resume."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from irstd.data.dataset import Crop, Crops, Images


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, position) in an order made from (seed, epoch).

    The trainer calls `set_epoch`, also when it resumes.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        for position in order:
            yield self.epoch, int(position)


def training_loader(crops: Crops, pin_memory: bool) -> DataLoader[Crop]:
    """Batches: images (N, 1, H, W) or clips (N, T, 1, H, W), masks (N, 1, H, W), in [0, 1].

    The last batch is dropped where it would be smaller, unless it is the only one: batch norm
    needs more than one value per channel, and steps per epoch stay the same.
    """
    batch_size = min(crops.recipe.batch_size, len(crops))
    return DataLoader(
        crops,
        batch_size=batch_size,
        sampler=EpochSampler(len(crops), crops.seed),
        collate_fn=_stack,
        drop_last=True,
        num_workers=crops.recipe.workers,
        persistent_workers=crops.recipe.workers > 0,
        pin_memory=pin_memory,
    )


def image_loader(images: Images) -> DataLoader[tuple[str, np.ndarray, np.ndarray]]:
    """One whole image at a time, as NumPy arrays."""
    return DataLoader(images, batch_size=None, collate_fn=_same)


def _stack(crops: list[Crop]) -> tuple[Tensor, Tensor]:
    images, masks = zip(*crops, strict=True)
    batch = (torch.stack([torch.from_numpy(array) for array in part]) for part in (images, masks))
    return next(batch), next(batch)


def _same(item: Any) -> Any:
    return item
