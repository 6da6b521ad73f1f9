"""What the stages wrote, loaded once and checked. Nothing is written, no figure computed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import streamlit as st

from irstd.errors import DataError
from irstd.files import read_json

FIGURES = {
    "iou": "IoU",
    "niou_target": "nIoU per target",
    "niou_image": "nIoU per image",
    "pd": "P_d",
    "fa_pixel": "F_a per pixel",
    "f1_target": "F1-T",
}
BASELINE = "baseline_f1_target"
CONDITIONS = (
    "profile",
    "network",
    "source",
    "split",
    "split_hash",
    "data_checksum",
    "convention",
    "threshold",
    "distance_px",
    "n_images",
    "n_targets",
)


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
        DataError: one is missing or damaged.
    """
    names = ("per_image", "per_target", "false_alarms")
    return Tables(*(_read_table(folder / f"{name}.parquet", command) for name in names))


@st.cache_data(max_entries=64, show_spinner=False)
def _load_result(folder: Path, stamp: int) -> Result:
    command = f"irstd evaluate {folder.name}"
    metrics = read_json(folder / "metrics.json", command)
    missing = [key for key in (*CONDITIONS, *FIGURES, BASELINE) if key not in metrics]
    if missing:
        raise DataError(
            f"{folder / 'metrics.json'}: expected {', '.join(missing)} among its keys; "
            f"run `{command}` again"
        )
    intervals = read_json(folder / "intervals.json", command)
    if not isinstance(intervals.get("intervals"), dict):
        raise DataError(
            f"{folder / 'intervals.json'}: expected a mapping under 'intervals', got "
            f"{type(intervals.get('intervals')).__name__}; run `{command}` again"
        )
    return Result(folder, metrics, intervals, stamp)


def _read_table(path: Path, command: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a readable table ({error}); run `{command}`") from error
