"""Figures of the scores as functions of sums of counts, so that images can be drawn and swapped.

The counts of an image: target pixels and background pixels in each bin of
`irstd.metrics.histogram.ScoreHistogram`, its targets, and the hits and the false alarms that enter
the ranking of the components at each level. Levels are the scores of hits alone, highest first: no
other changes the recall.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from irstd.evaluation.bootstrap import Counts
from irstd.metrics.calibration import calibration_curve
from irstd.metrics.histogram import DEFAULT_BINS, ScoreHistogram

PIXEL_COLUMNS = 2 * (DEFAULT_BINS + 1)
PIXEL_FIGURES = ("roc_auc", "average_precision", "ece", "ece_above_lowest")


def hit_levels(*per_target: pd.DataFrame) -> Float64[np.ndarray, " levels"]:
    """Scores of the hits of one or more models (`TARGET_SCHEMA`), highest first."""
    scores = np.concatenate([table.loc[table["hit"], "score"] for table in per_target])
    return np.unique(scores.astype(np.float64))[::-1]


def score_counts(
    histograms: pd.DataFrame,
    per_target: pd.DataFrame,
    false_alarms: pd.DataFrame,
    levels: Float64[np.ndarray, " levels"],
) -> Counts:
    """The counts above, one row per image.

    Args:
        histograms: `irstd.evaluation.tables.SCORE_SCHEMA`, with the id as the row's name.
        per_target: `TARGET_SCHEMA`, of the same images.
        false_alarms: `FALSE_ALARM_SCHEMA`, likewise.
        levels: scores of all hits, and any others.
    """

    def image_of(rows: pd.DataFrame) -> Int64[np.ndarray, " rows"]:
        return histograms.index.get_indexer_for(pd.Index(rows["id"]))

    def per_level(components: pd.DataFrame) -> Float64[np.ndarray, "images levels"]:
        level = np.searchsorted(-levels, -components["score"].to_numpy(dtype=np.float64))
        counts = np.zeros((len(histograms), len(levels) + 1))
        np.add.at(counts, (image_of(components), level), 1.0)
        return counts[:, :-1]  # below the last level nothing counts

    return np.hstack(
        [
            *(np.stack(histograms[name].tolist()) for name in ("target", "background")),
            np.bincount(image_of(per_target), minlength=len(histograms))[:, None],
            per_level(per_target[per_target["hit"]]),
            per_level(false_alarms),
        ]
    )


def score_figures(sums: Float64[np.ndarray, "*batch columns"]) -> dict[str, np.ndarray]:
    """The figures from sums of rows of `score_counts`; NaN where undefined.

    Of the pixels `roc_auc` and `average_precision` (`irstd.metrics.histogram`), `ece` and
    `ece_above_lowest` (`irstd.metrics.calibration`); of the components `average_precision_target`
    (`irstd.metrics.ranking`).
    """
    pixels, targets, ranked = np.split(sums, [PIXEL_COLUMNS, PIXEL_COLUMNS + 1], axis=-1)
    hits, false = np.split(ranked, 2, axis=-1)
    entered = np.cumsum(hits + false, axis=-1)
    precision = np.cumsum(hits, axis=-1) / np.maximum(entered, 1.0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        average = (hits * precision).sum(axis=-1) / targets[..., 0]
    rows = pixels.reshape(-1, PIXEL_COLUMNS).astype(np.int64)
    values = np.array([_pixel_figures(row) for row in rows]).reshape(
        *sums.shape[:-1], len(PIXEL_FIGURES)
    )
    of_pixels = {name: values[..., at] for at, name in enumerate(PIXEL_FIGURES)}
    return of_pixels | {"average_precision_target": average}


def _pixel_figures(bins: np.ndarray) -> tuple[float, ...]:
    histogram = ScoreHistogram()
    histogram.target, histogram.background = bins.reshape(2, -1)
    calibration = calibration_curve(histogram)
    of_curves = histogram.roc().auc, histogram.pr().average_precision
    return *of_curves, calibration.ece, calibration.ece_above_lowest
