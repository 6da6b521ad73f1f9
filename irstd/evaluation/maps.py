"""Probability maps or masks that another program has made, in the place of a network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Shaped

from irstd.data.pixels import read_grey
from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation.folders import files_by_name, refuse
from irstd.evaluation.mat import read_mat
from irstd.evaluation.predictions import INDEX_FILE, StoredPredictions
from irstd.inference.postprocess import detections_of
from irstd.inference.predictor import Predictor
from irstd.metrics.inputs import predicted_pixels
from irstd.types import Prediction

PICTURES = frozenset({".png", ".bmp", ".tif", ".tiff"})
SUFFIXES = PICTURES | {".npy", ".mat"}

Size = tuple[int, int]
Map = Float32[np.ndarray, "h w"]
Values = Shaped[np.ndarray, "h w"]
"""Values as stored: uint8 or uint16, or floating in [0, 1]."""


@dataclass(frozen=True)
class Maps:
    """The maps of a folder; all of them have been looked at.

    Attributes:
        kind: `masks` if each pixel of each map is 0 or the largest value, else `scores`.
        values: the maps (H, W) in [0, 1], in the order of the images; to be consumed once.
    """

    kind: Literal["masks", "scores"]
    values: Iterator[Map]


class MapPredictor(Predictor):
    """Gives finished maps, one per call, in the order in which they were handed over.

    Args:
        maps: (H, W) in [0, 1], in the order of the images to come.
    """

    def __init__(self, maps: Iterator[Map]) -> None:
        """No network: only what evaluation asks of a predictor."""
        self._maps = maps

    @property
    def device_name(self) -> str:
        """Nothing runs here."""
        return "finished maps"

    @property
    def clip(self) -> tuple[int, int]:
        """One image at a time."""
        return 1, 0

    def predict(self, image: np.ndarray, threshold: float | None = None) -> Prediction:
        """The next map, as the prediction for the image.

        Args:
            image: (H, W), the image whose turn it is.
            threshold: probability above which a pixel is a target; always given here.

        Raises:
            DataError: the map has another size than the image, or there is none left.
        """
        probability = next(self._maps, None)
        if probability is None or threshold is None or probability.shape != image.shape:
            got = "none" if probability is None else f"one of {probability.shape}"
            raise DataError(
                f"expected a probability map of {image.shape} for each image in its turn, got "
                f"{got}; write maps on the grid of the images"
            )
        (mask,) = predicted_pixels(probability, threshold)
        return Prediction(probability, mask, detections_of(probability, mask))


def read_maps(folder: Path, data: PreparedData, rows: Sequence[int]) -> Maps:
    """The maps of a folder: of `irstd evaluate`, or one file per image, named after its id.

    Pictures (PNG, BMP, TIFF) are grey, of 8 or 16 bit. NPY files hold (H, W): floating values in
    [0, 1], 8 or 16 bit as in pictures, or other integers or truth values that are 0 and 1. MAT
    files (up to version 7) hold the same as their only variable. The largest value of 8 or 16 bit
    means 1; if no such value of the whole folder is above 1, they are masks of 0 and 1.

    Nothing in a file is run, and none is read whose header states another size than its image's.

    Args:
        folder: with the maps.
        data: prepared images.
        rows: positions of the images; the maps come in this order.

    Raises:
        DataError: no such folder; maps are missing, there twice, or of no image among these (the
            message lists them); one is unreadable, of another size, or outside [0, 1].
    """
    ids = [str(data.index["id"].iloc[row]) for row in rows]
    shapes: list[Size] = [data.mask(row).shape for row in rows]
    read = _stored(folder, ids) if (folder / INDEX_FILE).is_file() else _files(folder, ids)
    tops, two_valued = [], True
    for id, shape in zip(ids, shapes, strict=True):
        values = read(id, shape)
        top = values.max()
        tops.append((values.dtype, float(top)))
        two_valued &= bool(np.all((values == 0) | (values == top)))
    is_unit = max((top for dtype, top in tops if dtype.kind == "u"), default=0.0) <= 1.0
    full = two_valued and all(top in (0.0, _one(dtype, is_unit)) for dtype, top in tops)
    return Maps(
        kind="masks" if full else "scores",
        values=(_scaled(read(id, shape), is_unit) for id, shape in zip(ids, shapes, strict=True)),
    )


def _one(dtype: np.dtype[Any], is_unit: bool) -> float:
    """The value that means 1."""
    return 1.0 if is_unit or dtype.kind == "f" else float(np.iinfo(dtype).max)


def _scaled(values: Values, is_unit: bool) -> Map:
    scaled: Map = values.astype(np.float32)
    scaled /= np.float32(_one(values.dtype, is_unit))
    return scaled


def _stored(folder: Path, ids: Sequence[str]) -> Callable[[str, Size], Values]:
    stored = StoredPredictions(folder)
    _compare(folder, ids, stored.ids)
    return lambda id, shape: _checked(stored.probability(id), shape, f"{folder}: map of {id!r}")


def _files(folder: Path, ids: Sequence[str]) -> Callable[[str, Size], Values]:
    found = files_by_name(folder, SUFFIXES)
    _compare(folder, ids, tuple(found))
    refuse(
        f"{folder}: expected one map per test image, there twice",
        [id for id, paths in found.items() if len(paths) > 1],
    )
    return lambda id, shape: _checked(_load(found[id][0], shape), shape, str(found[id][0]))


def _compare(folder: Path, ids: Sequence[str], found: Sequence[str]) -> None:
    """Refuse maps of other images than the test part has: figures of another split do not compare.

    Raises:
        DataError: a map is missing, or one has no image.
    """
    what = f"{folder}: expected one map per test image ({len(ids)}), got {len(found)}"
    refuse(f"{what}; missing", set(ids) - set(found))
    refuse(f"{what}; no image of the test part, to be moved away", set(found) - set(ids))


def _load(path: Path, shape: Size) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return read_grey(path)
    try:
        if suffix == ".mat":
            return read_mat(path, shape)
        # The header is believed no further than the file is long; no object is unpickled.
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, DataError) as error:
        raise DataError(f"{path}: expected a map as one plain array: {error}") from error


def _checked(values: np.ndarray, shape: Size, where: str) -> Values:
    """Values of the image's size, as 8 or 16 bit or floating; other numbers 0 and 1 as floating."""
    if values.shape != shape:
        raise DataError(
            f"{where}: the map has shape {values.shape}, its image {shape}; bring maps to the grid "
            "of the images"
        )
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected integers or floating values, got {values.dtype}")
    low, high = values.min(), values.max()  # NaN if any value is
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{where}: expected values in [0, 1], or 8 or 16 bit, got {values.dtype} from {low} to "
            f"{high}; logits need a sigmoid first, other scores a division by their largest "
            "possible value"
        )
    return values if values.dtype.kind == "f" else values.astype(np.float32)
