"""Prepared images as torch data sets: augmented crops for training, whole images for validation."""

import numpy as np
from torch.utils.data import Dataset

from irstd.config import FitParams, RecipeParams
from irstd.data.fitting import fill_image, fill_mask
from irstd.data.pixels import to_unit
from irstd.data.store import PreparedData
from irstd.data.transforms import augment
from irstd.errors import DataError
from irstd.types import Sample


class Crops(Dataset[Sample]):
    """Augmented training crops; what a key (epoch, position) gives depends on the seed alone."""

    def __init__(self, data: PreparedData, recipe: RecipeParams, fit: FitParams, seed: int) -> None:
        self.data, self.recipe, self.fit, self.seed = data, recipe, fit, seed
        self.rows = _rows(data, "train")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The crop of one epoch and position."""
        epoch, position = key
        row = int(self.rows[position])
        image, mask = to_unit(self.data.image(row)), np.asarray(self.data.mask(row))
        if self.fit.method == "fill":
            size = (self.fit.height, self.fit.width)
            image, mask = fill_image(image, size), fill_mask(mask, size)
        rng = np.random.default_rng((self.seed, epoch, position))
        image, mask = augment(image, mask, self.recipe.crop, self.recipe.augmentation, rng)
        return Sample(str(self.data.index["id"].iloc[row]), image[None], mask[None])


class Images(Dataset[tuple[str, np.ndarray, np.ndarray]]):
    """Whole images of one split as (id, image in its own dtype, mask)."""

    def __init__(self, data: PreparedData, split: str) -> None:
        self.data = data
        self.rows = _rows(data, split)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[str, np.ndarray, np.ndarray]:
        row = int(self.rows[position])
        return str(self.data.index["id"].iloc[row]), self.data.image(row), self.data.mask(row)


def _rows(data: PreparedData, split: str) -> np.ndarray:
    rows = data.rows(split)
    if not len(rows):
        raise DataError(
            f"the prepared data has no image in the {split} part; "
            "see reports/prepare and data.limit, then run `irstd prepare`"
        )
    return rows
