"""Prepared images as torch data sets: augmented crops for training, whole images for validation."""

import numpy as np
from jaxtyping import Float32
from torch.utils.data import Dataset

from irstd.config import CropWindow, FitParams, RecipeParams
from irstd.data.clips import check_clips, read_clip
from irstd.data.fitting import fill_image, fill_mask
from irstd.data.pixels import to_unit
from irstd.data.store import PreparedData
from irstd.data.synthesis_augment import TargetAdder
from irstd.data.transforms import augment
from irstd.errors import DataError
from irstd.types import Border

Crop = tuple[Float32[np.ndarray, "..."], Float32[np.ndarray, "1 h w"]]


class Crops(Dataset[Crop]):
    """Augmented training crops; what a key (epoch, position) gives depends on the seed alone.

    Args:
        data: prepared images.
        recipe: crop and augmentation.
        fit: size unification.
        seed: of the augmentation.
        frames: frames of a clip; 1: single images.
        target_frame: place of the segmented frame in a clip, from 0.
        border: what stands for the frames of a clip outside its sequence.
        adder: adds targets to the images; None: none.

    Raises:
        DataError: there is no training image, or clips cannot be made of the sequences.
    """

    def __init__(
        self,
        data: PreparedData,
        recipe: RecipeParams,
        fit: FitParams,
        seed: int,
        frames: int = 1,
        target_frame: int = 0,
        border: Border = "wrap",
        adder: TargetAdder | None = None,
    ) -> None:
        self.adder = adder
        self.data, self.recipe, self.fit, self.seed = data, recipe, fit, seed
        self.frames, self.target_frame, self.border = frames, target_frame, border
        self.rows = _rows(data, "train", frames)
        geometry = recipe.augmentation.geometry
        pads_with_mean = isinstance(geometry, CropWindow) and geometry.pad == "mean"
        self.pad_value = recipe.normalisation.mean[0] if pads_with_mean else 0.0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> Crop:
        """The crop of one epoch and position.

        Returns:
            Image (1, H, W), or clip (T, 1, H, W), in [0, 1]; mask (1, H, W) in [0, 1].
        """
        epoch, position = key
        row = int(self.rows[position])
        image = read_clip(self.data, row, self.frames, self.target_frame, self.border)
        frames = image[None] if image.ndim == 2 else image
        mask = self.data.mask(row)
        rng = np.random.default_rng((self.seed, epoch, position))
        if self.adder is not None:
            units = np.stack([to_unit(frame) for frame in frames])
            frames, mask = self.adder(units, mask, self.target_frame, rng)
        if self.fit.method == "fill":
            size = (self.fit.height, self.fit.width)
            frames = np.stack([fill_image(to_unit(frame), size) for frame in frames])
            mask = fill_mask(mask, size)
        recipe = self.recipe
        frames, target = augment(
            frames, mask, recipe.crop, recipe.augmentation, self.pad_value, rng
        )
        return frames if self.frames == 1 else frames[:, None], target[None]


class Images(Dataset[tuple[str, np.ndarray, np.ndarray]]):
    """Whole images of one split as (id, image or clip in its own dtype, mask).

    Args:
        data: prepared images.
        split: `train`, `val` or `test`.
        frames: frames of a clip; 1: single images.
        target_frame: place of the segmented frame in a clip, from 0.
        border: what stands for the frames of a clip outside its sequence.

    Raises:
        DataError: the split is empty, or clips cannot be made of the sequences.
    """

    def __init__(
        self,
        data: PreparedData,
        split: str,
        frames: int = 1,
        target_frame: int = 0,
        border: Border = "wrap",
    ) -> None:
        self.data = data
        self.frames, self.target_frame, self.border = frames, target_frame, border
        self.rows = _rows(data, split, frames)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[str, np.ndarray, np.ndarray]:
        row = int(self.rows[position])
        image = read_clip(self.data, row, self.frames, self.target_frame, self.border)
        return str(self.data.index["id"].iloc[row]), image, self.data.mask(row)


def _rows(data: PreparedData, split: str, frames: int) -> np.ndarray:
    rows = data.rows(split)
    if not len(rows):
        raise DataError(
            f"the prepared data has no image in the {split} part; "
            "see reports/prepare and data.limit, then run `irstd prepare`"
        )
    if frames > 1:
        check_clips(data, rows)
    return rows
