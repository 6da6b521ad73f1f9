"""Probability maps that another program has made, in the place of a network."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from irstd.data.pixels import read_grey, to_unit
from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation.predictions import INDEX_FILE, StoredPredictions
from irstd.inference.postprocess import detections_of
from irstd.inference.predictor import Predictor
from irstd.metrics.inputs import predicted_pixels
from irstd.types import Prediction

SUFFIXES = (".npy", ".png")
LISTED = 10
Map = Float32[np.ndarray, "h w"]


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


def read_maps(folder: Path, data: PreparedData, rows: Sequence[int]) -> Iterator[Map]:
    """The maps of a folder: of `irstd evaluate`, or one file per image, `<id>.png` or `<id>.npy`.

    PNG files are grey, of 8 or 16 bit, their largest value meaning 1. NPY files hold (H, W)
    floating values in [0, 1], or 8 or 16 bit as in PNG.

    Args:
        folder: with the maps.
        data: prepared images.
        rows: positions of the images; the maps come in this order.

    Raises:
        DataError: no such folder, or maps are missing or there twice (the message lists them); when
            a map's turn comes, that it is unreadable, of another size, or outside [0, 1].
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder with probability maps")
    ids = [str(data.index["id"].iloc[row]) for row in rows]
    read = _stored(folder, ids) if (folder / INDEX_FILE).is_file() else _files(folder, ids)
    shapes = [data.mask(row).shape for row in rows]
    return (_checked(read(id), shape, folder, id) for id, shape in zip(ids, shapes, strict=True))


def _stored(folder: Path, ids: Sequence[str]) -> Callable[[str], Map]:
    stored = StoredPredictions(folder)
    _refuse(folder, "missing", [id for id in ids if id not in stored.ids])
    return stored.probability


def _files(folder: Path, ids: Sequence[str]) -> Callable[[str], Map]:
    found = {
        id: [path for suffix in SUFFIXES if (path := folder / f"{id}{suffix}").is_file()]
        for id in ids
    }
    _refuse(folder, "missing", [id for id, paths in found.items() if not paths])
    _refuse(folder, "there twice", [id for id, paths in found.items() if len(paths) > 1])
    return lambda id: _read(found[id][0])


def _read(path: Path) -> Map:
    try:
        if path.suffix == ".png":
            return to_unit(read_grey(path))
        return to_unit(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected a probability map: {error}") from error
    except DataError as error:
        raise DataError(f"{path}: not a probability map: {error}") from error


def _checked(probability: Map, shape: tuple[int, ...], folder: Path, id: str) -> Map:
    if probability.shape != shape:
        raise DataError(
            f"{folder}: the map of {id!r} has shape {probability.shape}, its image {shape}; bring "
            "maps to the grid of the images"
        )
    return probability


def _refuse(folder: Path, what: str, ids: Sequence[str]) -> None:
    if ids:
        more = f" and {len(ids) - LISTED} more" if len(ids) > LISTED else ""
        raise DataError(
            f"{folder}: expected one probability map per test image, ID.png or ID.npy; {what}: "
            f"{', '.join(ids[:LISTED])}{more}"
        )
