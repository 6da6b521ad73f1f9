"""One pass over the images of a split: predict, count, and gather what a report needs."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, UInt8
from tqdm import tqdm

from irstd.data.clips import read_clip
from irstd.data.pixels import to_unit
from irstd.data.store import PreparedData
from irstd.evaluation import tables
from irstd.inference.predictor import Predictor
from irstd.metrics.baseline import best_global_threshold
from irstd.metrics.components import Moments
from irstd.metrics.counts import COUNT_COLUMNS, count_image, figures
from irstd.metrics.curves import (
    DistanceCurve,
    PrecisionRecallCurve,
    RocCurve,
    ScoreHistogram,
    TargetCurve,
    distance_curve,
    target_curve,
)

THRESHOLDS = (0.001, 0.01, *(step / 20 for step in range(1, 20)), 0.99, 0.999)
"""Thresholds of the P_d over F_a curve."""

DISTANCES_PX = tuple(step / 2 for step in range(21))
"""Matching distances of the P_d and P_a curves."""


@dataclass(frozen=True)
class Evaluation:
    """What a network does on a set of images.

    Attributes:
        figures: every figure of `irstd.metrics.counts.figures`, with `roc_auc` and
            `average_precision`.
        counts: one row per image over `COUNT_COLUMNS`.
        per_image: `irstd.evaluation.tables.IMAGE_SCHEMA`.
        per_target: `TARGET_SCHEMA`.
        false_alarms: `FALSE_ALARM_SCHEMA`.
        roc: of the pixels.
        pr: precision and recall of the pixels.
        over_threshold: P_d and F_a over the threshold.
        over_distance: P_d and P_a over the matching distance.
        sequential_per_s: images / time spent in `predict`, one image after another (batch 1).
    """

    figures: dict[str, float]
    counts: Float64[np.ndarray, "images columns"]
    per_image: pa.Table
    per_target: pa.Table
    false_alarms: pa.Table
    roc: RocCurve
    pr: PrecisionRecallCurve
    over_threshold: TargetCurve
    over_distance: DistanceCurve
    sequential_per_s: float


def evaluate_images(
    predictor: Predictor,
    data: PreparedData,
    rows: Sequence[int],
    threshold: float,
    distance: float,
    keep: Callable[[str, Float32[np.ndarray, "h w"]], object],
) -> Evaluation:
    """Predict images and measure the predictions on the grid of their original masks.

    Args:
        predictor: the network.
        data: prepared images.
        rows: positions of the images, at least one.
        threshold: a pixel is predicted where its probability is strictly greater.
        distance: largest distance of a target and its detection in pixels, inclusive.
        keep: called with id and probability map of every image.
    """
    seen = _Pass(predictor, data, threshold, distance, keep)
    over_threshold = target_curve(seen.images(rows), THRESHOLDS, distance)
    counts = np.array([[row[name] for name in COUNT_COLUMNS] for row in seen.per_image])
    roc, pr = seen.histogram.roc(), seen.histogram.pr()
    areas = {"roc_auc": roc.auc, "average_precision": pr.average_precision}
    return Evaluation(
        figures=total_figures(counts) | areas,
        counts=counts,
        per_image=pa.Table.from_pylist(seen.per_image, schema=tables.IMAGE_SCHEMA),
        per_target=pa.Table.from_pylist(seen.per_target, schema=tables.TARGET_SCHEMA),
        false_alarms=pa.Table.from_pylist(seen.false_alarms, schema=tables.FALSE_ALARM_SCHEMA),
        roc=roc,
        pr=pr,
        over_threshold=over_threshold,
        over_distance=distance_curve(seen.moments, DISTANCES_PX),
        sequential_per_s=len(seen.per_image) / seen.seconds,
    )


def total_figures(counts: Float64[np.ndarray, "images columns"]) -> dict[str, float]:
    """The figures of a whole table of counts, whatever the order of its rows."""
    sums = np.array([math.fsum(column) for column in counts.T])
    return {name: float(value) for name, value in figures(sums).items()}


def baseline(data: PreparedData, rows: Sequence[int], distance: float) -> tuple[float, float]:
    """Best single grey threshold in hindsight and its F1-T; see `best_global_threshold`."""
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
    ) -> None:
        self._predictor, self._data, self._keep = predictor, data, keep
        self._threshold, self._distance = threshold, distance
        self._ids, self._scr = data.index["id"].tolist(), data.index["scr"].tolist()
        self.per_image: tables.Rows = []
        self.per_target: tables.Rows = []
        self.false_alarms: tables.Rows = []
        self.moments: list[tuple[Moments, Moments]] = []
        self.histogram = ScoreHistogram()
        self.seconds = 0.0

    def images(
        self, rows: Sequence[int]
    ) -> Iterator[tuple[Float32[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]]:
        """Yield probability and mask of each image."""
        for row in tqdm(rows, desc="evaluate", unit="image"):
            start = time.perf_counter()
            clip = read_clip(self._data, row, *self._predictor.clip)
            probability = self._predictor.predict(clip, self._threshold).probability
            self.seconds += time.perf_counter() - start
            mask = self._data.mask(row)
            self._record(int(row), probability, mask)
            yield probability, mask

    def _record(
        self, row: int, probability: Float32[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"]
    ) -> None:
        id = self._ids[row]
        counts = count_image(probability, mask, self._threshold, self._distance)
        scr = np.asarray(self._scr[row], dtype=np.float64)
        self.per_image.append(tables.image_row(id, counts))
        self.per_target += tables.target_rows(id, counts, probability, scr)
        self.false_alarms += tables.false_alarm_rows(id, counts, probability)
        self.moments.append((counts.targets.moments, counts.predicted.moments))
        self.histogram.update(probability, mask)
        self._keep(id, probability)


class _Lazy(Sequence[np.ndarray]):
    """Arrays that are read when they are asked for, by position."""

    def __init__(self, rows: Sequence[int], read: Callable[[int], np.ndarray]) -> None:
        self._rows, self._read = rows, read

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: Any) -> Any:
        return self._read(int(self._rows[position]))
