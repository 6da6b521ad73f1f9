"""Probability maps or masks that another program has made, in the place of a network."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Shaped

from irstd.data.pixels import decode_values, read_header
from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation.folders import files_by_name, refuse, shown
from irstd.evaluation.mat import read_mat
from irstd.evaluation.npy import map_npy, read_npy_header
from irstd.evaluation.predictions import INDEX_FILE, StoredPredictions
from irstd.inference.postprocess import detections_of
from irstd.inference.predictor import Predictor
from irstd.metrics.inputs import predicted_pixels
from irstd.types import Border, Prediction

PICTURES = frozenset({".png", ".bmp", ".tif", ".tiff"})
SUFFIXES = PICTURES | {".npy", ".mat"}
FULL = 255
"""What means 1 in a mask of 8 bit."""

PREDICTIONS = "predictions"
"""Folder of the maps in the output of `irstd evaluate` for a file."""

log = logging.getLogger(__name__)

Size = tuple[int, int]
Map = Float32[np.ndarray, "h w"]
Values = Shaped[np.ndarray, "h w"]
"""Values as stored: uint8 or uint16, or floating in [0, 1]."""


@dataclass(frozen=True)
class Maps:
    """The maps of a folder; all of them have been looked at.

    Attributes:
        kind: `masks` if each pixel of each map is 0 or the largest value, else `scores`.
        highest: the largest value of all maps, in [0, 1].
        values: the maps (H, W) in [0, 1], in the order of the images; to be consumed once.
    """

    kind: Literal["masks", "scores"]
    highest: float
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
    def clip(self) -> tuple[int, int, Border]:
        """One image at a time."""
        return 1, 0, "wrap"

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


def read_maps(folder: Path, data: PreparedData, rows: Sequence[int], surplus: bool = False) -> Maps:
    """The maps of a folder: of `irstd evaluate`, or one file per image, named after its id.

    Pictures (PNG, BMP, TIFF) are grey, of 8 or 16 bit. NPY files hold (H, W): floating values in
    [0, 1], 8 or 16 bit as in pictures, or truth values. MAT files (versions 5 to 7) hold the same
    as their only variable. The largest value of 8 or 16 bit means 1; if no such value of the whole
    folder is above 1, they are masks of 0 and 1. Numbers of any other type may be masks too, of 0
    and 1 or of 0 and 255.

    Nothing in a file is run, and none is read whose header states another size than its image's.

    Args:
        folder: with the maps.
        data: prepared images.
        rows: positions of the images; the maps come in this order.
        surplus: whether there may be maps of other images; they are not read.

    Raises:
        DataError: no such folder; maps are missing, there twice, or of no image among these (the
            message lists them); one is unreadable, of another size, coloured, of several pages, or
            outside [0, 1].
    """
    ids = [str(data.index["id"].iloc[row]) for row in rows]
    shapes: list[Size] = [data.mask(row).shape for row in rows]
    opened = _stored if (folder / INDEX_FILE).is_file() else _files
    read = opened(folder, ids, surplus)
    tops, two_valued = [], True
    for id, shape in zip(ids, shapes, strict=True):
        values = read(id, shape)
        top = values.max()
        tops.append((values.dtype, float(top)))
        two_valued &= bool(np.all((values == 0) | (values == top)))
    is_unit = max((top for dtype, top in tops if dtype.kind == "u"), default=0.0) <= 1.0
    if not is_unit:
        _warn_of_units(folder, ids, tops)
    highest = [np.float32(top) / np.float32(_one(dtype, is_unit)) for dtype, top in tops]
    return Maps(
        kind="masks" if two_valued and set(highest) <= {0.0, 1.0} else "scores",
        highest=float(max(highest)),
        values=(_scaled(read(id, shape), is_unit) for id, shape in zip(ids, shapes, strict=True)),
    )


def _warn_of_units(
    folder: Path, ids: Sequence[str], tops: Sequence[tuple[np.dtype[Any], float]]
) -> None:
    """Name the maps that would be masks of 0 and 1 if the others did not reach further."""
    faint = [
        id for id, (dtype, top) in zip(ids, tops, strict=True) if dtype.kind == "u" and top == 1
    ]
    if faint:
        log.warning(
            "%s: values 0 and 1 are read as next to nothing of the full range, as other maps reach "
            "above 1; masks of 0 and 1 among these must be written as 0 and 255: %s",
            folder,
            shown(faint),
        )


def _one(dtype: np.dtype[Any], is_unit: bool) -> float:
    """The value that means 1."""
    return 1.0 if is_unit or dtype.kind == "f" else float(np.iinfo(dtype).max)


def _scaled(values: Values, is_unit: bool) -> Map:
    scaled: Map = values.astype(np.float32)
    scaled /= np.float32(_one(values.dtype, is_unit))
    return scaled


def _stored(folder: Path, ids: Sequence[str], surplus: bool) -> Callable[[str, Size], Values]:
    stored = StoredPredictions(folder)
    _compare(folder, ids, stored.ids, surplus)

    def read(id: str, shape: Size) -> Values:
        values = stored.probability(id)
        try:
            _check_size(values.shape, shape)
        except DataError as error:
            raise DataError(f"{folder}: {id!r}: {error}") from error
        return values

    return read


def _files(folder: Path, ids: Sequence[str], surplus: bool) -> Callable[[str, Size], Values]:
    if (folder / PREDICTIONS / INDEX_FILE).is_file():
        raise DataError(
            f"{folder}: expected a folder of maps, got one of results; its maps are in "
            f"{folder / PREDICTIONS}"
        )
    found = files_by_name(folder, SUFFIXES)
    _compare(folder, ids, tuple(found), surplus)
    refuse(
        f"{folder}: expected one map per test image, there twice",
        [id for id in ids if len(found[id]) > 1],
    )
    return lambda id, shape: _read_file(found[id][0], shape)


def _compare(folder: Path, ids: Sequence[str], found: Sequence[str], surplus: bool) -> None:
    """Refuse maps of other images than the test part has: figures of another split do not compare.

    Raises:
        DataError: a map is missing, or one has no image and none is to be left over.
    """
    what = f"{folder}: expected one map per test image ({len(ids)}), got {len(found)}"
    refuse(f"{what}; missing", set(ids) - set(found))
    if not surplus:
        others = set(found) - set(ids)
        refuse(f"{what}; no image of the test part, to be moved away", others)


def _read_file(path: Path, shape: Size) -> Values:
    suffix = path.suffix.lower()
    read = _picture if suffix in PICTURES else read_mat if suffix == ".mat" else _npy
    try:
        values = read(path, shape)
        _check_size(values.shape, shape)
        return _as_values(values)
    except (OSError, DataError) as error:
        raise DataError(f"{path}: {error}") from error


def _picture(path: Path, shape: Size) -> np.ndarray:
    content = path.read_bytes()
    _check_size(read_header(content), shape)
    return decode_values(content)


def _npy(path: Path, shape: Size) -> np.ndarray:
    header = read_npy_header(path)
    if header.dtype.kind not in "biuf":
        raise DataError(f"expected integers or floating values, got {header.dtype}")
    _check_size(header.shape, shape)
    return map_npy(path, header)


def _check_size(found: tuple[int, ...], shape: Size) -> None:
    if found != shape:
        raise DataError(
            f"the map has shape {found}, its image {shape}; bring maps to the grid of the images"
        )


def _as_values(values: np.ndarray) -> Values:
    """8 or 16 bit or floating, in this machine's byte order; masks of other types as these."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype in (np.uint8, np.uint16):
        return values
    low, high = values.min(), values.max()  # NaN if any value is
    if low >= 0 and high <= 1:
        return values if values.dtype.kind == "f" else values.astype(np.float32)
    if high == FULL and bool(np.all((values == 0) | (values == FULL))):
        return values.astype(np.uint8)
    is_whole = low >= 0 and high < 1 << 16 and bool(np.all(values == np.floor(values)))
    advice = (
        "save 8-bit maps as uint8 and 16-bit maps as uint16"
        if is_whole
        else "logits need a sigmoid first, other scores a division by their largest possible value"
    )
    raise DataError(
        f"expected values in [0, 1], or 8 or 16 bit as uint8 or uint16, got {values.dtype} from "
        f"{low} to {high}; {advice}"
    )
