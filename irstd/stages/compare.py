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

from irstd.config import Params
from irstd.errors import DataError
from irstd.evaluation.bootstrap import Counts, Figures, unit_name, unit_sums
from irstd.evaluation.conventions import FOLDER, JSON_FILE, choose_conventions
from irstd.evaluation.evaluate import split_hash
from irstd.evaluation.field import field_counts, own_figures
from irstd.evaluation.paired import Difference, paired_differences
from irstd.evaluation.scores import hit_levels, score_counts, score_figures
from irstd.evaluation.summary import UNDEFINED, Table
from irstd.evaluation.tables import (
    BINNED,
    FALSE_ALARM_SCHEMA,
    IMAGE_SCHEMA,
    TARGET_SCHEMA,
    read_rows,
)
from irstd.files import read_json, write_json
from irstd.layout import Layout
from irstd.metrics.conventions import CONVENTIONS, find_convention
from irstd.metrics.counts import COUNT_COLUMNS
from irstd.metrics.suite import MetricSuite
from irstd.stages.outputs import check_file

MADE_BY = "irstd evaluate"
METRICS, PER_IMAGE, SCORES = "metrics.json", "per_image.parquet", "scores.parquet"
PER_TARGET, FALSE_ALARMS = "per_target.parquet", "false_alarms.parquet"
CONDITIONS: dict[str, type[Any] | UnionType] = {
    **dict.fromkeys(("profile", "network", "split_hash", "masks_checksum", "convention"), str),
    **dict.fromkeys(("threshold", "distance_px"), int | float),
}
"""What `metrics.json` says a comparison depends on, and its types."""
NOT_PRINTED = {"n_images", "n_targets", "n_empty_images", "n_pixels", "md", "fa_target"}
"""Totals of the images, equal in both, and complements of `pd` and `pa`."""

TEST = "randomisation test: the counts of A and B are swapped unit by unit; two-sided"


@dataclass(frozen=True)
class Evaluated:
    """One evaluation.

    Attributes:
        folder: where it stands.
        conditions: those of its `metrics.json` that a comparison depends on.
        per_image: `irstd.evaluation.tables.IMAGE_SCHEMA`, with the id as the row's name, ordered by
            it, and the `sequence` of each image.
        conventions: those it has.
    """

    folder: Path
    conditions: dict[str, Any]
    per_image: pd.DataFrame
    conventions: tuple[str, ...]

    @property
    def default_counts(self) -> Counts:
        """Counts of each image by the default convention, ordered by id."""
        return self.per_image[list(COUNT_COLUMNS)].to_numpy(dtype=np.float64)

    def counts(self, name: str) -> Counts:
        """Counts of each image by a convention, ordered by id.

        Raises:
            DataError: it is none of `conventions`, or its table is missing or damaged.
        """
        if name == self.conditions["convention"]:
            return self.default_counts
        if name not in self.conventions:
            raise DataError(
                f"{self.folder}: expected convention {name!r}, has {', '.join(self.conventions)}; "
                f"run `{MADE_BY}` again with `--convention`, or for a network of the profile with "
                "evaluate.convention in params.yaml"
            )
        columns, path = find_convention(name).columns, self.folder / FOLDER / f"{name}.parquet"
        rows = _rows(path, columns, pa.float64(), self.per_image.index)
        return rows.to_numpy(dtype=np.float64)

    def components(self, name: str, schema: pa.Schema) -> pd.DataFrame:
        """A table of targets or false alarms.

        Raises:
            DataError: it is missing or damaged, or has other images.
        """
        rows: pd.DataFrame = read_rows(self.folder / name, schema, MADE_BY).to_pandas()
        if not rows["id"].isin(self.per_image.index).all():
            raise _other_images(self.folder / name)
        return rows


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
    _check_conditions(folder / METRICS, metrics)
    images = read_rows(folder / PER_IMAGE, IMAGE_SCHEMA, MADE_BY).to_pandas()
    if not images["id"].is_unique or split_hash(images["id"]) != metrics["split_hash"]:
        raise DataError(
            f"{folder}: the images of {PER_IMAGE} are not those of {METRICS} (split_hash); run "
            f"`{MADE_BY}` again"
        )
    conditions = {key: metrics[key] for key in CONDITIONS}
    images = images.set_index("id").sort_index()
    others = [*read_json(folder / JSON_FILE, MADE_BY)]
    _check_names(folder / JSON_FILE, others)
    sequences = _sequences(folder, others, images.index)
    names = tuple(dict.fromkeys([conditions["convention"], *others]))
    return Evaluated(folder, conditions, images.assign(sequence=sequences), names)


def _check_conditions(path: Path, metrics: dict[str, Any]) -> None:
    """Refuse what `CONDITIONS` does not allow, numbers that are not finite, unknown conventions."""
    faulty = [
        key
        for key, kind in CONDITIONS.items()
        if not isinstance(value := metrics.get(key), kind)
        or (kind is not str and (isinstance(value, bool) or not math.isfinite(value)))
    ]
    if faulty:
        raise DataError(
            f"{path}: {', '.join(faulty)} missing, of another type or not finite; run `{MADE_BY}` "
            "again"
        )
    _check_names(path, [metrics["convention"]])


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse what is no convention: paths are made of the names."""
    unknown = [name for name in names if name not in CONVENTIONS]
    if unknown:
        raise DataError(
            f"{path}: expected conventions among {', '.join(CONVENTIONS)}, got {unknown[0]!r}; run "
            f"`{MADE_BY}` again"
        )


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
    for key in ("masks_checksum", "convention", "distance_px"):
        if a.conditions[key] != b.conditions[key]:
            raise DataError(
                f"{both}: expected the same {key}, got {a.conditions[key]} and "
                f"{b.conditions[key]}; evaluate both on the same data, with the same settings"
            )
    differing = a.per_image[["sequence"]].compare(b.per_image[["sequence"]])
    if len(differing):
        raise DataError(
            f"{both}: expected the same sequences, but {len(differing)} images differ, first "
            f"{differing.index[0]!r}; evaluate both on one version of the data"
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
    parts = {f"Convention {name}": one for name, one in result["conventions"].items()}
    parts |= {"Images with and without targets": result["field"], "Scores": result["scores"]}
    for title, one in parts.items():
        shown = {key: found for key, found in one["figures"].items() if key not in NOT_PRINTED}
        rows = tuple((key, *_cells(figure)) for key, figure in shown.items())
        how = f"all {one['swaps']} swaps" if one["exact"] else f"{one['swaps']} random swaps"
        lines += ["", f"{title} ({how})", "", Table(head, rows).markdown()]
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

    def differences(of_a: Counts, of_b: Counts, figures: Figures) -> dict[str, Any]:
        units_a, units_b = unit_sums(of_a, sequences), unit_sums(of_b, sequences)
        paired = paired_differences(units_a, units_b, *drawn, figures)
        found = {key: _values(difference) for key, difference in paired.figures.items()}
        return {"swaps": paired.swaps, "exact": paired.exact, "figures": found}

    conventions = {
        name: differences(
            a.counts(name), b.counts(name), partial(MetricSuite([name]).figures, name)
        )
        for name in names
    }
    return {
        "a": {"folder": str(a.folder)} | a.conditions,
        "b": {"folder": str(b.folder)} | b.conditions,
        "n_images": len(sequences),
        "unit": unit_name(sequences),
        "n_units": len(unit_sums(a.counts(names[0]), sequences)),
        "difference": "b - a",
        "test": TEST,
        "samples": settings.samples,
        "confidence": settings.confidence,
        "seed": params.seed,
        "conventions": conventions,
        "field": differences(
            field_counts(a.default_counts), field_counts(b.default_counts), own_figures
        ),
        "scores": differences(*_score_counts(a, b), score_figures),
    }


def _score_counts(a: Evaluated, b: Evaluated) -> tuple[Counts, Counts]:
    """Counts of the scores; the levels are those of both, so that images can be swapped."""
    targets = [one.components(PER_TARGET, TARGET_SCHEMA) for one in (a, b)]
    levels = hit_levels(*targets)

    def counts(one: Evaluated, per_target: pd.DataFrame) -> Counts:
        ids = one.per_image.index
        histograms = _rows(one.folder / SCORES, ("target", "background"), BINNED, ids)
        false_alarms = one.components(FALSE_ALARMS, FALSE_ALARM_SCHEMA)
        return score_counts(histograms, per_target, false_alarms, levels)

    return counts(a, targets[0]), counts(b, targets[1])


def _sequences(folder: Path, conventions: list[str], ids: pd.Index) -> np.ndarray:
    """Name of each image's sequence, None for single images; the file of any convention has it."""
    path = folder / FOLDER / f"{next(iter(conventions), 'none')}.parquet"
    _rows(path, (), pa.string(), ids)  # says what is wrong with the file
    if "sequence" not in pq.read_schema(path).names:
        return np.full(len(ids), None)
    rows = _rows(path, ("sequence",), pa.string(), ids)
    return rows["sequence"].to_numpy(dtype=object)


def _rows(path: Path, columns: tuple[str, ...], kind: pa.DataType, ids: pd.Index) -> pd.DataFrame:
    """Columns of a table with a row per image, in the order of the ids."""
    schema = pa.schema([("id", pa.string()), *((column, kind) for column in columns)])
    rows = read_rows(path, schema, MADE_BY).to_pandas()
    if sorted(rows["id"]) != list(ids):
        raise _other_images(path)
    ordered: pd.DataFrame = rows.set_index("id").loc[ids]
    return ordered


def _other_images(path: Path) -> DataError:
    return DataError(f"{path}: its images are not those of {PER_IMAGE}; run `{MADE_BY}` again")


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
