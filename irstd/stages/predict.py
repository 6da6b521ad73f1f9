"""`irstd predict`: masks, overlays and a list of detections for images, folders and videos."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from irstd.data.pixels import write_png
from irstd.errors import DataError, ModelError
from irstd.files import replaced_folder, write_json
from irstd.inference.inputs import Source, count_frames, find_sources
from irstd.inference.overlay import draw_overlay
from irstd.inference.postprocess import checked_threshold
from irstd.inference.predictor import Predictor
from irstd.inference.sequences import Frame, find_sequences, read_clips
from irstd.stages.model_reference import resolve_model
from irstd.stages.outputs import check_folder
from irstd.types import Detection, Prediction

JSON_FILE, CSV_FILE = "detections.json", "detections.csv"
MASKS, OVERLAYS = "masks", "overlays"
LISTS = frozenset({JSON_FILE, CSV_FILE})
FILES = LISTS | {MASKS, OVERLAYS}
"""What an output folder holds; the lists always."""
COLUMNS = ("image", "frame", "row", "col", "top", "left", "bottom", "right", "area_px", "score")


@dataclass(frozen=True)
class Failure:
    """A file that gave no result, or not all of it."""

    file: str
    reason: str


@dataclass(frozen=True)
class PredictSummary:
    """What `run_predict` did.

    Attributes:
        output: folder with the results.
        device_name: what ran the network.
        images: images and video frames that were predicted.
        detections: detections on them.
        failures: faulty files.
    """

    output: Path
    device_name: str
    images: int
    detections: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Result:
    image: str
    frame: int | None
    shape: tuple[int, int]
    detections: tuple[Detection, ...]


def run_predict(
    inputs: Sequence[Path],
    output: Path,
    *,
    model: str | None,
    root: Path,
    threshold: float | None,
    overwrite: bool,
    tta: bool = False,
) -> PredictSummary:
    """Predict every image behind the inputs and write the results to one folder.

    The folder holds `masks/NAME.png` (0 and 255), `overlays/NAME.png`, `detections.json` and
    `detections.csv`; NAME is the input's path with its suffix, so that `a.png` and `a.tif` differ;
    a video has a folder of frames instead. A network of clips takes a video, or the images of one
    folder in the order of their names, as a sequence. The results appear when all is done; a faulty
    file is reported and the others are still predicted. If every file is faulty, nothing appears
    or is replaced.

    Args:
        inputs: images (PNG, TIFF, BMP, JPEG), videos and folders.
        output: folder for the results; new or empty.
        model: see `irstd.stages.model_reference.resolve_model`.
        root: the project's folder.
        threshold: probability above which a pixel is a target; None takes the model's own.
        overwrite: replace `output` if it holds the results of an earlier call and nothing else.
        tta: average over scales and mirror images; needs a model of free size.

    Raises:
        DataError: nothing to predict, no image could be predicted, or `output` must not be written
            to.
        ModelError: the model cannot be found or loaded, or the threshold is not in (0, 1).
    """
    check_folder(root, output, overwrite, names=FILES, always=LISTS)
    if threshold is not None:
        checked_threshold(threshold)
    predictor = Predictor.from_file(resolve_model(model, root))
    detect = predictor.augmented() if tta else predictor.predict
    sources = find_sources(inputs, skip=output)
    results: list[_Result] = []
    failures: list[Failure] = []

    def fail(source: Source, error: Exception) -> None:
        failures.append(Failure(source.name, str(error).removeprefix(f"{source.path}: ")))

    with replaced_folder(output.resolve()) as folder, _progress(sources) as bar:
        for sequence in find_sequences(sources, predictor.clip[0]):
            try:
                for frame, clip in read_clips(sequence, predictor.clip, fail):
                    prediction = detect(clip, threshold)
                    image = clip if clip.ndim == 2 else clip[predictor.clip[1]]
                    _write_pictures(folder, frame, image, prediction)
                    results.append(_result(frame, prediction))
                    bar.update()
            except (DataError, ModelError) as error:
                fail(sequence[0], error)
        results.sort(key=lambda result: (result.image, result.frame or 0))
        _check_results(output, results, failures)
        chosen = predictor.facts.threshold if threshold is None else threshold
        _write_lists(folder, _document(predictor, chosen, results, failures), results)
    return PredictSummary(
        output,
        predictor.device_name,
        len(results),
        sum(len(result.detections) for result in results),
        tuple(failures),
    )


def _progress(sources: Sequence[Source]) -> "tqdm[Any]":
    return tqdm(total=sum(count_frames(source) for source in sources), unit="image", desc="predict")


def _check_results(output: Path, results: Sequence[_Result], failures: Sequence[Failure]) -> None:
    if results:
        return
    lines = "".join(f"\n  {failure.file}: {failure.reason}" for failure in failures)
    raise DataError(
        f"{output}: not written, because no image could be predicted; correct the files:{lines}"
    )


def _result(frame: Frame, prediction: Prediction) -> _Result:
    return _Result(frame.source.name, frame.number, prediction.mask.shape, prediction.detections)


def _write_pictures(folder: Path, frame: Frame, image: np.ndarray, prediction: Prediction) -> None:
    name = frame.source.name
    name = f"{name}.png" if frame.number is None else f"{name}/{frame.number:06d}.png"
    write_png(folder / MASKS / name, prediction.mask.astype(np.uint8) * np.uint8(255))
    write_png(folder / OVERLAYS / name, draw_overlay(image, prediction))


def _write_lists(folder: Path, document: dict[str, Any], results: Sequence[_Result]) -> None:
    write_json(folder / JSON_FILE, document)
    with (folder / CSV_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for result in results:
            for detection in result.detections:
                writer.writerow({"image": result.image, "frame": result.frame, **_row(detection)})


def _document(
    predictor: Predictor, threshold: float, results: Sequence[_Result], failures: Sequence[Failure]
) -> dict[str, Any]:
    return {
        "model": {"network": predictor.facts.network, **predictor.facts.provenance},
        "threshold": threshold,
        "images": [
            {
                "image": result.image,
                "frame": result.frame,
                "height": result.shape[0],
                "width": result.shape[1],
                "detections": [_row(detection) for detection in result.detections],
            }
            for result in results
        ],
        "failures": [{"file": failure.file, "reason": failure.reason} for failure in failures],
    }


def _row(detection: Detection) -> dict[str, float]:
    top, left, bottom, right = detection.box
    return {
        "row": detection.row,
        "col": detection.col,
        "top": top,
        "left": left,
        "bottom": bottom,
        "right": right,
        "area_px": detection.area_px,
        "score": detection.score,
    }
