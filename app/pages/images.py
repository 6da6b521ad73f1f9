"""One test image with its ground truth and its prediction."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from panels import Box, Mark, draw_panels
from results import Result, Tables, load_tables, project_root, require_results

from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation.predictions import StoredPredictions
from irstd.layout import Layout

WHOLE = "whole image"


def marks_of(tables: Tables, id: str) -> list[Mark]:
    """Targets of an image in order, then its false alarms."""
    targets = tables.per_target[tables.per_target["id"] == id]
    false = tables.false_alarms[tables.false_alarms["id"] == id]
    marks = [Mark("hit" if row["hit"] else "miss", _box(row)) for row in targets.to_dict("records")]
    return marks + [Mark("false_alarm", _box(row)) for row in false.to_dict("records")]


def ids_with(tables: Tables) -> dict[str, list[str]]:
    """Ids of the test images for each choice of the filter, in the order of the split."""
    everything = tables.per_image["id"].tolist()
    missed = set(tables.per_target.loc[~tables.per_target["hit"].astype(bool), "id"])
    false = set(tables.false_alarms["id"])
    with_target = set(tables.per_target["id"])
    kinds = {
        "all": set(everything),
        "with a missed target": missed,
        "with a false alarm": false,
        "with every target hit": with_target - missed,
        "without a target": set(everything) - with_target,
    }
    return {name: [id for id in everything if id in ids] for name, ids in kinds.items()}


@st.cache_data(max_entries=64, show_spinner="Drawing")
def picture(
    root: Path, result: Result, id: str, marks: list[Mark], view: Box | None, stamp: int
) -> bytes:
    """PNG of the three panels.

    Raises:
        DataError: data or predictions are missing, or are not those of the report.
    """
    layout = Layout(root, result.metrics["profile"])
    data = PreparedData(layout.processed)
    if data.checksum != result.metrics["data_checksum"]:
        raise DataError(
            f"{layout.processed}: the prepared images are not those of the report (data version "
            f"{data.checksum[:12]} here, {result.metrics['data_checksum'][:12]} there); "
            f"run `dvc repro`"
        )
    stored = StoredPredictions(layout.predictions(result.metrics["network"]))
    ids = data.index["id"].tolist()
    if id not in ids:
        raise DataError(
            f"{result.folder / 'per_image.parquet'}: image {id!r} is not among the {len(ids)} "
            f"prepared images; run `{result.command}` again"
        )
    row = ids.index(id)
    return draw_panels(data.image(row), data.mask(row), stored.mask(id), marks, view)


def _box(row: dict[Any, Any]) -> Box:
    return int(row["top"]), int(row["left"]), int(row["bottom"]), int(row["right"])


def show(root: Path, result: Result, tables: Tables, id: str) -> None:
    """The panels of one image and what was found in it."""
    marks = marks_of(tables, id)
    views: dict[str, Box | None] = {WHOLE: None}
    for number, mark in enumerate(marks, start=1):
        views[f"{number}: {mark.kind.replace('_', ' ')}"] = mark.box
    view = views[st.selectbox("Enlarge", list(views))]
    kinds = [mark.kind for mark in marks]
    counts = (
        f"{kinds.count('hit')} hit, {kinds.count('miss')} missed, "
        f"{kinds.count('false_alarm')} false alarms"
    )
    png = picture(root, result, id, marks, view, result.stamp)
    st.image(png, caption=f"{id}: {counts}", width="stretch", alt=f"{id}: {counts}")
    for title, table in (("Targets", tables.per_target), ("False alarms", tables.false_alarms)):
        rows: pd.DataFrame = table[table["id"] == id]
        if len(rows):
            st.subheader(title)
            st.dataframe(rows.drop(columns="id"), hide_index=True)


st.title("Test images")
root = project_root()
results = {result.name: result for result in require_results(root)}
left, middle, right = st.columns(3)
result = results[left.selectbox("Profile and network", list(results))]
try:
    tables = load_tables(result.folder, result.command, result.stamp)
    choices = ids_with(tables)
    chosen = choices[middle.selectbox("Images", list(choices))]
    if not chosen:
        st.info("No test image is of this kind.")
        st.stop()
    id = right.selectbox(f"One of {len(chosen)}", chosen)
    facts = result.metrics
    st.caption(
        f"{facts['source']}, split {facts['split']}, test part; convention {facts['convention']}, "
        f"probability above {facts['threshold']}, matching distance {facts['distance_px']} px."
    )
    show(root, result, tables, id)
except DataError as error:
    st.error(str(error))
    st.stop()
