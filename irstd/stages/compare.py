"""`irstd compare`: paired differences of two evaluations of the same images."""

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64

from irstd.config import Params
from irstd.errors import DataError
from irstd.evaluation.bootstrap import unit_name, unit_sums
from irstd.evaluation.conventions import FOLDER, JSON_FILE, choose_conventions
from irstd.evaluation.evaluate import split_hash
from irstd.evaluation.paired import Difference, paired_differences
from irstd.evaluation.summary import UNDEFINED, Table
from irstd.evaluation.tables import IMAGE_SCHEMA, read_rows
from irstd.files import read_json, write_json
from irstd.layout import Layout
from irstd.metrics.conventions import find_convention
from irstd.metrics.counts import COUNT_COLUMNS
from irstd.metrics.suite import MetricSuite
from irstd.stages.outputs import check_file

MADE_BY = "irstd evaluate"
METRICS, PER_IMAGE = "metrics.json", "per_image.parquet"
CONDITIONS: dict[str, type[Any] | UnionType] = {
    **dict.fromkeys(("profile", "network", "split_hash", "convention"), str),
    **dict.fromkeys(("threshold", "distance_px"), int | float),
}
"""What `metrics.json` says a comparison depends on, and its types."""
TEST = "randomisation test: the counts of A and B are swapped unit by unit; two-sided"


@dataclass(frozen=True)
class Evaluated:
    """One evaluation.

    Attributes:
        folder: where it stands.
        conditions: those of its `metrics.json` that a comparison depends on.
        per_image: `irstd.evaluation.tables.IMAGE_SCHEMA`, with the id as the row's name, ordered by
            it, and the `sequence` of each image.
    """

    folder: Path
    conditions: dict[str, Any]
    per_image: pd.DataFrame

    @property
    def scenes(self) -> pd.DataFrame:
        """What the counts say about the masks."""
        known = self.per_image[["height", "width", "targets", "sequence"]]
        return known.assign(target_pixels=self.per_image["tp"] + self.per_image["fn"])

    def counts(self, name: str) -> Float64[np.ndarray, "images columns"]:
        """Counts of each image by a convention, ordered by id."""
        if name == self.conditions["convention"]:
            return self.per_image[list(COUNT_COLUMNS)].to_numpy(dtype=np.float64)
        columns = find_convention(name).columns
        path, made_by = self.folder / FOLDER / f"{name}.parquet", f"{MADE_BY} --convention {name}"
        rows = _rows(path, columns, pa.float64(), self.per_image.index, made_by)
        return rows.to_numpy(dtype=np.float64)


def compare(
    root: Path,
    params: Params,
    a: str,
    b: str,
    *,
    conventions: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Compare two evaluations image by image, see `irstd.evaluation.paired`.

    The models may be of any origin and use thresholds of their own; images, masks, sequences and
    matching distance must be the same.

    Args:
        root: the project's folder.
        params: its parameters; samples, confidence and seed are theirs.
        a: output folder of `irstd evaluate`, or one of `train.networks` for its evaluation in the
            active profile.
        b: likewise.
        conventions: see `irstd.evaluation.conventions.choose_conventions`; None for that of
            `metrics.json`.
        output: JSON file for the result.
        overwrite: replace `output` if it exists.

    Returns:
        What is written to `output`; None is undefined.

    Raises:
        ConfigError: unknown convention.
        DataError: no evaluation there, one is damaged or lacks a convention, they are not of the
            same images, or the output must not be written.
    """
    if output is not None:
        check_file(root, output, overwrite)
    one, other = (read_evaluation(_folder(root, params, name)) for name in (a, b))
    check_comparable(one, other)
    main = (one.conditions["convention"],)
    names = main if conventions is None else choose_conventions(conventions)
    result = _compared(one, other, names, params)
    if output is not None:
        write_json(output, result)
    return result


def read_evaluation(folder: Path) -> Evaluated:
    """Read an output folder of `irstd evaluate`.

    Raises:
        DataError: something is missing or damaged, or its files do not belong together.
    """
    metrics = read_json(folder / METRICS, MADE_BY)
    faulty = [key for key, kind in CONDITIONS.items() if not isinstance(metrics.get(key), kind)]
    if faulty:
        raise DataError(
            f"{folder / METRICS}: {', '.join(faulty)} missing or of another type; run `{MADE_BY}` "
            "again"
        )
    images = read_rows(folder / PER_IMAGE, IMAGE_SCHEMA, MADE_BY).to_pandas()
    if not images["id"].is_unique or split_hash(images["id"]) != metrics["split_hash"]:
        raise DataError(
            f"{folder}: the images of {PER_IMAGE} are not those of {METRICS} (split_hash); run "
            f"`{MADE_BY}` again"
        )
    conditions = {key: metrics[key] for key in CONDITIONS}
    images = images.set_index("id").sort_index()
    return Evaluated(folder, conditions, images.assign(sequence=_sequences(folder, images.index)))


def check_comparable(a: Evaluated, b: Evaluated) -> None:
    """Refuse evaluations whose differences would not be those of the models.

    Raises:
        DataError: images, masks, sequences, convention or matching distance differ.
    """
    both = f"{a.folder} and {b.folder}"
    if a.conditions["split_hash"] != b.conditions["split_hash"]:
        ids, others = a.per_image.index, b.per_image.index
        raise DataError(
            f"{both}: expected evaluations of the same images, got {len(ids)} and {len(others)}, "
            f"{len(ids.intersection(others))} of them in common; evaluate both on one test part"
        )
    for key in ("convention", "distance_px"):
        if a.conditions[key] != b.conditions[key]:
            raise DataError(
                f"{both}: expected the same {key}, got {a.conditions[key]} and "
                f"{b.conditions[key]}; evaluate both with the same settings"
            )
    differing = a.scenes.compare(b.scenes)
    if len(differing):
        raise DataError(
            f"{both}: expected the same masks and sequences, but {len(differing)} images differ, "
            f"first {differing.index[0]!r}; evaluate both on one version of the data"
        )


def as_text(result: dict[str, Any], *, as_json: bool) -> str:
    """The result as JSON, or as a table for each convention."""
    if as_json:
        return json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False)
    share = f"{result['confidence']:.0%}"
    lines = [f"{key.upper()}: {_origin(result[key])}" for key in ("a", "b")]
    lines.append(
        f"{result['n_images']} images, {result['n_units']} units (unit: {result['unit']}); "
        f"interval of B - A: {share}, paired bootstrap, {result['samples']} samples; "
        f"p: {result['test']}; not corrected for the number of figures"
    )
    head = ("Figure", "A", "B", "B - A", f"{share} interval", "p")
    for name, one in result["conventions"].items():
        rows = tuple((key, *_cells(figure)) for key, figure in one["figures"].items())
        how = f"all {one['swaps']} swaps" if one["exact"] else f"{one['swaps']} random swaps"
        lines += ["", f"Convention {name} ({how})", "", Table(head, rows).markdown()]
    return "\n".join(lines)


def _folder(root: Path, params: Params, name: str) -> Path:
    if name in params.train.networks:
        return Layout(root, params.profile).report("evaluate", name)
    if not Path(name).is_dir():
        raise DataError(
            f"{name}: expected an output folder of `{MADE_BY}`, or a network of profile "
            f"{params.profile}: {', '.join(params.train.networks)}"
        )
    return Path(name)


def _compared(a: Evaluated, b: Evaluated, names: tuple[str, ...], params: Params) -> dict[str, Any]:
    sequences, settings = a.per_image["sequence"].tolist(), params.evaluate.bootstrap
    drawn = settings.samples, settings.confidence, params.seed
    compared = {}
    for name in names:
        units = [unit_sums(one.counts(name), sequences) for one in (a, b)]
        figures = partial(MetricSuite([name]).figures, name)
        paired = paired_differences(units[0], units[1], *drawn, figures)
        found = {key: _values(difference) for key, difference in paired.figures.items()}
        compared[name] = {"swaps": paired.swaps, "exact": paired.exact, "figures": found}
    return {
        "a": {"folder": str(a.folder)} | a.conditions,
        "b": {"folder": str(b.folder)} | b.conditions,
        "n_images": len(sequences),
        "unit": unit_name(sequences),
        "n_units": len(units[0]),
        "difference": "b - a",
        "test": TEST,
        "samples": settings.samples,
        "confidence": settings.confidence,
        "seed": params.seed,
        "conventions": compared,
    }


def _sequences(folder: Path, ids: pd.Index) -> np.ndarray:
    """Name of each image's sequence, None for single images; the file of any convention has it."""
    names = list(read_json(folder / JSON_FILE, MADE_BY)) or ["none"]
    path = folder / FOLDER / f"{names[0]}.parquet"
    _rows(path, (), pa.string(), ids, MADE_BY)  # says what is wrong with the file
    if "sequence" not in pq.read_schema(path).names:
        return np.full(len(ids), None)
    rows = _rows(path, ("sequence",), pa.string(), ids, MADE_BY)
    return rows["sequence"].to_numpy(dtype=object)


def _rows(
    path: Path, columns: tuple[str, ...], kind: pa.DataType, ids: pd.Index, made_by: str
) -> pd.DataFrame:
    """Columns of a table with a row per image, in the order of the ids."""
    schema = pa.schema([("id", pa.string()), *((column, kind) for column in columns)])
    rows = read_rows(path, schema, made_by).to_pandas()
    if sorted(rows["id"]) != list(ids):
        raise DataError(f"{path}: its images are not those of {PER_IMAGE}; run `{made_by}` again")
    ordered: pd.DataFrame = rows.set_index("id").loc[ids]
    return ordered


def _values(found: Difference) -> dict[str, float | None]:
    values = {"a": found.a, "b": found.b, "difference": found.difference, "p": found.p}
    values |= {"low": found.interval.low, "high": found.interval.high}
    values["undefined"] = found.interval.undefined
    return {key: None if math.isnan(value) else value for key, value in values.items()}


def _origin(one: dict[str, Any]) -> str:
    return (
        f"{one['folder']} ({one['network']}, profile {one['profile']}, threshold "
        f"{one['threshold']:g}, distance {one['distance_px']:g} px)"
    )


def _cells(figure: dict[str, float | None]) -> tuple[str, ...]:
    a, b, difference, low, high = (
        UNDEFINED if value is None else f"{value:.6g}"
        for value in (figure[key] for key in ("a", "b", "difference", "low", "high"))
    )
    bounds = UNDEFINED if figure["low"] is None else f"{low} to {high}"
    p = UNDEFINED if figure["p"] is None else f"{figure['p']:.3g}"
    return a, b, difference, bounds, p
