"""The same predictions counted as each paper's code counts them, side by side.

| file | content |
|---|---|
| `conventions.json` | of each convention figures, intervals, conditions, source, defects, names |
| `conventions.csv` | the figures, a row per convention; an empty cell is undefined or not counted |
| `conventions/<name>.parquet` | a row per image: id, sequence if there are any, and its counts |

Conditions are the threshold and the matching distance in pixels, null where a rule has none.
Figures are functions of sums of the counts (`irstd.metrics.suite.MetricSuite.figures`).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from irstd.evaluation.bootstrap import bootstrap_intervals, unit_sums
from irstd.files import write_json
from irstd.metrics.conventions import CONVENTIONS, find_convention
from irstd.metrics.suite import MetricSuite

ALL = "all"
JSON_FILE, CSV_FILE, FOLDER = "conventions.json", "conventions.csv", "conventions"
FILES = (JSON_FILE, CSV_FILE, FOLDER)


def choose_conventions(text: str) -> tuple[str, ...]:
    """Names in a choice of conventions.

    Args:
        text: `all`, or names with commas between.

    Raises:
        ConfigError: unknown name.
    """
    if text == ALL:
        return tuple(CONVENTIONS)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        find_convention(name)
    return names


def write_conventions(
    folder: Path,
    suite: MetricSuite,
    ids: Sequence[str],
    sequences: Sequence[str | None],
    drawn: tuple[int, float, int],
) -> dict[str, Any]:
    """Write the files above.

    Args:
        folder: for the files.
        suite: has counted the images.
        ids: of the images, in the order in which they were counted.
        sequences: name of each image's sequence, None for a single image.
        drawn: samples, confidence and seed of the bootstrap, as in `bootstrap_intervals`.

    Returns:
        The content of `conventions.json`.
    """
    figures = suite.compute()
    content = {}
    for name, values in figures.items():
        units = unit_sums(suite.table(name), sequences)
        bounds = bootstrap_intervals(units, *drawn, partial(suite.figures, name))
        intervals = {key: asdict(interval) for key, interval in bounds.items()}
        content[name] = _described(suite, name) | {"figures": values, "intervals": intervals}
    write_json(folder / JSON_FILE, content)
    table = pd.DataFrame.from_dict(figures, orient="index")
    table.to_csv(folder / CSV_FILE, index_label="convention", lineterminator="\n")
    (folder / FOLDER).mkdir()
    for name in figures:
        pq.write_table(_per_image(suite, name, ids, sequences), folder / FOLDER / f"{name}.parquet")
    return content


def _described(suite: MetricSuite, name: str) -> dict[str, Any]:
    convention = suite.conventions[name]
    distance = convention.distance_px
    return {
        "threshold": suite.threshold,
        "distance_px": distance if math.isfinite(distance) else None,
        "source": convention.source,
        "defects": convention.notes,
        "published_names": convention.published_names,
    }


def _per_image(
    suite: MetricSuite, name: str, ids: Sequence[str], sequences: Sequence[str | None]
) -> pa.Table:
    columns = {"id": pa.array(ids, pa.string())}
    sequence = pa.array(sequences, pa.string(), from_pandas=True)
    if sequence.null_count < len(sequence):
        columns["sequence"] = sequence
    counts = suite.table(name)
    return pa.table(columns | dict(zip(CONVENTIONS[name].columns, counts.T, strict=True)))
