"""One pass over the images of a split: predict, count, and gather what a report needs."""

import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float32, Float64
from tqdm import tqdm

from irstd.data.clips import read_clip
from irstd.data.pixels import to_unit
from irstd.data.store import PreparedData
from irstd.evaluation import tables
from irstd.evaluation.figures import Curve
from irstd.evaluation.truth import lacking_pixels, true_targets
from irstd.inference.predictor import Predictor
from irstd.metrics.baseline import best_global_threshold
from irstd.metrics.calibration import CalibrationCurve, calibration_curve
from irstd.metrics.components import Moments, label_components
from irstd.metrics.counts import COUNT_COLUMNS, ImageCounts, count_components, figures
from irstd.metrics.curves import (
    DistanceCurve,
    FreeResponseCurve,
    TargetCurve,
    TargetSweep,
    distance_curve,
)
from irstd.metrics.histogram import OverlapCurve, PrecisionRecallCurve, RocCurve, ScoreHistogram
from irstd.metrics.inputs import check_pair, predicted_pixels
from irstd.metrics.peaks import PeakScores
from irstd.metrics.points import PointTargets
from irstd.metrics.ranking import DetectionRanking

DISTANCES_PX = tuple(step / 2 for step in range(21))
"""Matching distances of the P_d and P_a curves."""


@dataclass(frozen=True)
class Evaluation:
    """What a network does on a set of images.

    Attributes:
        figures: every figure of `irstd.metrics.counts.figures`; `roc_auc` and
            `average_precision` of the pixels; `average_precision_target` of the components
            (`irstd.metrics.ranking`); `ece` and `ece_above_lowest` of the score
            (`irstd.metrics.calibration`).
        counts: one row per image over `COUNT_COLUMNS`.
        per_image: `irstd.evaluation.tables.IMAGE_SCHEMA`.
        per_target: `TARGET_SCHEMA`.
        false_alarms: `FALSE_ALARM_SCHEMA`.
        scores: `SCORE_SCHEMA`.
        roc: of the pixels.
        pr: precision and recall of the pixels.
        overlap: F1 and IoU of the pixels over the threshold.
        calibration: reliability of the score.
        over_threshold: P_d and F_a over the threshold.
        free_response: P_d over the false alarms per image.
        over_distance: P_d and P_a over the matching distance.
        sequential_per_s: images / time spent in `predict`, one image after another (batch 1).
    """

    figures: dict[str, float]
    counts: Float64[np.ndarray, "images columns"]
    per_image: pa.Table
    per_target: pa.Table
    false_alarms: pa.Table
    scores: pa.Table
    roc: RocCurve
    pr: PrecisionRecallCurve
    overlap: OverlapCurve
    calibration: CalibrationCurve
    over_threshold: TargetCurve
    free_response: FreeResponseCurve
    over_distance: DistanceCurve
    sequential_per_s: float

    @property
    def curves(self) -> dict[str, Curve]:
        """Every curve by its name in `irstd.evaluation.figures.CURVES`."""
        return {
            "pr": self.pr,
            "roc": self.roc,
            "f1_iou": self.overlap,
            "calibration": self.calibration,
            "pd_fa": self.over_threshold,
            "froc": self.free_response,
            "distance": self.over_distance,
        }


def evaluate_images(
    predictor: Predictor,
    data: PreparedData,
    rows: Sequence[int],
    threshold: float,
    distance: float,
    keep: Callable[[str, Float32[np.ndarray, "h w"]], object],
) -> Evaluation:
    """Predict images and measure the predictions on the grid of their original masks.

    Where the ground truth is boxes or points, targets are places (`irstd.evaluation.truth`), and
    figures of pixels are NaN, their curves without points.

    The thresholds of the target-level curves depend on all maps (`irstd.metrics.peaks`), so the
    maps wait in a temporary file, four bytes per pixel, until they are known.

    Args:
        predictor: the network.
        data: prepared images.
        rows: positions of the images, at least one.
        threshold: a pixel is predicted where its probability is strictly greater.
        distance: largest distance of a target and its detection in pixels, inclusive.
        keep: called with id and probability map of every image.
    """
    with tempfile.TemporaryFile() as maps:
        seen = _Pass(predictor, data, threshold, distance, keep, maps)
        for row in tqdm(rows, desc="evaluate", unit="image"):
            seen.add(int(row))
        sweep = seen.sweep(rows)
    counts = np.array([[row[name] for name in COUNT_COLUMNS] for row in seen.per_image])
    roc, pr = seen.histogram.roc(), seen.histogram.pr()
    calibration = calibration_curve(seen.histogram)
    more = {
        "roc_auc": roc.auc,
        "average_precision": pr.average_precision,
        "average_precision_target": seen.ranking.compute().average_precision,
        "ece": calibration.ece,
        "ece_above_lowest": calibration.ece_above_lowest,
    }
    return Evaluation(
        figures=total_figures(counts) | more,
        counts=counts,
        per_image=pa.Table.from_pylist(seen.per_image, schema=tables.IMAGE_SCHEMA),
        per_target=pa.Table.from_pylist(seen.per_target, schema=tables.TARGET_SCHEMA),
        false_alarms=pa.Table.from_pylist(seen.false_alarms, schema=tables.FALSE_ALARM_SCHEMA),
        scores=pa.Table.from_pylist(seen.scores, schema=tables.SCORE_SCHEMA),
        roc=roc,
        pr=pr,
        overlap=seen.histogram.overlap(),
        calibration=calibration,
        over_threshold=sweep.curve(),
        free_response=sweep.free_response(),
        over_distance=distance_curve(seen.moments, DISTANCES_PX),
        sequential_per_s=len(seen.per_image) / seen.seconds,
    )


def total_figures(counts: Float64[np.ndarray, "images columns"]) -> dict[str, float]:
    """The figures of a whole table of counts, whatever the order of its rows."""
    sums = np.array([math.fsum(column) for column in counts.T])
    return {name: float(value) for name, value in figures(sums).items()}


def sequence_figures(
    counts: Float64[np.ndarray, "images columns"], sequences: Sequence[str | None]
) -> pd.DataFrame:
    """The figures of each sequence and, in the last row, of all images.

    Args:
        counts: one row per image over `COUNT_COLUMNS`.
        sequences: name of each image's sequence, None for a single image.

    Returns:
        Column `sequence`, null in the last row, and one per figure; a single row where no image
        belongs to a sequence.
    """
    names = np.array(sequences, dtype=object)
    present = sorted({name for name in sequences if pd.notna(name)})
    parts = {name: counts[names == name] for name in present}
    rows = [{"sequence": name} | total_figures(part) for name, part in parts.items()]
    return pd.DataFrame([*rows, {"sequence": None} | total_figures(counts)])


def baseline(data: PreparedData, rows: Sequence[int], distance: float) -> tuple[float, float]:
    """Best single grey threshold in hindsight and its F1-T; see `best_global_threshold`.

    Its candidates are grey values of target pixels: NaN where an image has no mask.
    """
    if lacking_pixels(data, rows) is not None:
        return math.nan, math.nan
    images = _Lazy(rows, lambda row: to_unit(data.image(row)))
    return best_global_threshold(images, _Lazy(rows, data.mask), distance)


def split_hash(ids: Iterable[str]) -> str:
    """SHA-256 of the sorted ids, one per line: equal for equal sets of images."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


class _Pass:
    """Predicts image by image and records each one before it is passed on."""

    def __init__(
        self,
        predictor: Predictor,
        data: PreparedData,
        threshold: float,
        distance: float,
        keep: Callable[[str, Float32[np.ndarray, "h w"]], object],
        maps: IO[bytes],
    ) -> None:
        self._predictor, self._data, self._keep, self._maps = predictor, data, keep, maps
        self._threshold, self._distance = threshold, distance
        self._ids, self._scr = data.index["id"].tolist(), data.index["scr"].tolist()
        self.per_image: tables.Rows = []
        self.per_target: tables.Rows = []
        self.false_alarms: tables.Rows = []
        self.scores: tables.Rows = []
        self.moments: list[tuple[Moments, Moments]] = []
        self.histogram = ScoreHistogram()
        self.peaks = PeakScores()
        self.ranking = DetectionRanking()
        self.seconds = 0.0

    def add(self, row: int) -> None:
        """Predict and record the image at a position."""
        start = time.perf_counter()
        clip = read_clip(self._data, row, *self._predictor.clip)
        probability = self._predictor.predict(clip, self._threshold).probability
        self.seconds += time.perf_counter() - start
        mask = self._data.mask(row)
        check_pair(probability, mask)
        targets = true_targets(self._data, row)
        predicted = label_components(predicted_pixels(probability, self._threshold)[0])
        self._record(row, probability, count_components(targets, predicted, self._distance))
        histogram = ScoreHistogram()
        if not isinstance(targets, PointTargets):
            histogram.update(probability, mask)
        self.histogram.merge(histogram)
        self.scores.append(tables.score_row(self._ids[row], histogram))
        self.peaks.update(probability, mask)
        np.save(self._maps, probability)
        self._keep(self._ids[row], probability)

    def sweep(self, rows: Sequence[int]) -> TargetSweep:
        """Counts over the thresholds of all images, from their maps in the order of `add`."""
        thresholds = self.peaks.thresholds().tolist()
        counted = TargetSweep({*thresholds, self._threshold}, self._distance)
        self._maps.seek(0)
        for row in tqdm(rows, desc="curves", unit="image"):
            probability, targets = np.load(self._maps), true_targets(self._data, int(row))
            if isinstance(targets, PointTargets):
                counted.update_points(probability, targets)
            else:
                counted.update(probability, self._data.mask(int(row)))
        return counted

    def _record(
        self, row: int, probability: Float32[np.ndarray, "h w"], counts: ImageCounts
    ) -> None:
        id = self._ids[row]
        scr = np.asarray(self._scr[row], dtype=np.float64)
        self.per_image.append(tables.image_row(id, counts))
        self.per_target += tables.target_rows(id, counts, probability, scr)
        self.false_alarms += tables.false_alarm_rows(id, counts, probability)
        self.moments.append((counts.targets.moments, counts.predicted.moments))
        scores = tables.peak_probability(probability, counts.predicted)
        hits = np.isin(np.arange(len(scores)), counts.pairs[:, 1])
        self.ranking.update(scores, hits, counts.targets.count)


class _Lazy(Sequence[np.ndarray]):
    """Arrays that are read when they are asked for, by position."""

    def __init__(self, rows: Sequence[int], read: Callable[[int], np.ndarray]) -> None:
        self._rows, self._read = rows, read

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: Any) -> Any:
        return self._read(int(self._rows[position]))
