"""What the stages wrote, loaded once and checked. Nothing is written, no figure computed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import pandas as pd
import streamlit as st

from irstd.errors import DataError
from irstd.evaluation.summary import FIGURES
from irstd.evaluation.tables import FALSE_ALARM_SCHEMA, IMAGE_SCHEMA, TARGET_SCHEMA, read_rows
from irstd.files import read_json

BASELINE = "baseline_f1_target"
NUMBER = (int, float)
OPTIONAL = (*NUMBER, NoneType)
METRICS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("profile", "network", "source", "split", "split_hash"), (str,)),
    **dict.fromkeys(("data_checksum", "convention"), (str,)),
    **dict.fromkeys(("threshold", "distance_px", "n_images", "n_targets"), NUMBER),
    **dict.fromkeys((*(key for key, _, _ in FIGURES), BASELINE), OPTIONAL),
}
"""Keys of `metrics.json` that the pages read, and their types; an undefined figure is null."""

INTERVALS = {"unit": (str,), "samples": (int,), "confidence": NUMBER, "intervals": (dict,)}
JSON_NAMES: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    bool: "true or false",
    NoneType: "null",
}
BOUNDS = {"low": OPTIONAL, "high": OPTIONAL}


@dataclass(frozen=True)
class Result:
    """One network, trained under one profile, on the test part.

    Attributes:
        folder: `reports/evaluate/<profile>/<network>`.
        metrics: its `metrics.json`.
        intervals: its `intervals.json`.
        stamp: changes with the files.
    """

    folder: Path
    metrics: dict[str, Any]
    intervals: dict[str, Any]
    stamp: int

    @property
    def name(self) -> str:
        """Profile and network."""
        return f"{self.metrics['profile']} / {self.metrics['network']}"

    @property
    def command(self) -> str:
        """What makes the files again."""
        return f"irstd evaluate {self.metrics['network']}"


@dataclass(frozen=True)
class Tables:
    """What was found in each image (`irstd.evaluation.tables`)."""

    per_image: pd.DataFrame
    per_target: pd.DataFrame
    false_alarms: pd.DataFrame


def project_root() -> Path:
    """The project's folder: `IRSTD_ROOT`, or where the app was started."""
    return Path(os.environ.get("IRSTD_ROOT", ".")).resolve()


def require_results(root: Path) -> list[Result]:
    """All readable results. Each broken one is named; without any the page stops with a hint."""
    results = []
    for path in sorted(root.glob("reports/evaluate/*/*/metrics.json")):
        try:
            results.append(_load_result(path.parent, path.stat().st_mtime_ns))
        except (DataError, OSError) as error:
            st.error(str(error))
    if not results:
        st.info(
            f"No readable evaluation in {root / 'reports' / 'evaluate'}. `make demo` trains and "
            "evaluates on generated images in a few minutes; for other data choose a profile "
            "(`irstd profile NAME`) and run `dvc repro`."
        )
        st.stop()
    return results


@st.cache_data(max_entries=8, show_spinner=False)
def load_tables(folder: Path, command: str, stamp: int) -> Tables:
    """Tables of a result.

    Raises:
        DataError: one is missing, damaged or of another form.
    """
    schemas = {
        "per_image": IMAGE_SCHEMA,
        "per_target": TARGET_SCHEMA,
        "false_alarms": FALSE_ALARM_SCHEMA,
    }
    read = (read_rows(folder / f"{name}.parquet", x, command) for name, x in schemas.items())
    return Tables(*(table.to_pandas() for table in read))


@st.cache_data(max_entries=64, show_spinner=False)
def _load_result(folder: Path, stamp: int) -> Result:
    command = f"irstd evaluate {folder.name}"
    metrics = read_json(folder / "metrics.json", command)
    _check(folder / "metrics.json", metrics, METRICS, command)
    path = folder / "intervals.json"
    intervals = read_json(path, command)
    _check(path, intervals, INTERVALS, command)
    bounds = intervals["intervals"]
    _check(path, bounds, dict.fromkeys((key for key, _, _ in FIGURES), (dict,)), command)
    for key, _, _ in FIGURES:
        _check(path, bounds[key], BOUNDS, command, f"intervals.{key}.")
    return Result(folder, metrics, intervals, stamp)


def _check(
    path: Path,
    content: Mapping[str, Any],
    kinds: Mapping[str, tuple[type, ...]],
    command: str,
    prefix: str = "",
) -> None:
    """Compare the keys of a JSON object and the types of their values with what is expected."""
    wrong = [
        f"{prefix}{key} ({' or '.join(JSON_NAMES[kind] for kind in allowed)}, got "
        f"{JSON_NAMES.get(type(content[key]), 'another type') if key in content else 'none'})"
        for key, allowed in kinds.items()
        if type(content.get(key, Ellipsis)) not in allowed
    ]
    if wrong:
        raise DataError(f"{path}: expected {', '.join(wrong)}; run `{command}` again")
