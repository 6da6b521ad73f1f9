"""Every evaluated network, in one table per set of conditions."""

from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st
from results import BASELINE, FIGURES, Result, project_root, require_results

SAME = ("source", "split", "split_hash", "data_checksum", "convention", "threshold", "distance_px")
BASELINE_TITLE = "F1-T of the best grey threshold"


def conditions(result: Result) -> tuple[str, ...]:
    """What two results must share to be compared."""
    return tuple(str(result.metrics[key]) for key in SAME)


def interval(result: Result, key: str) -> str:
    """Bounds of one figure."""
    bounds = result.intervals["intervals"].get(key, {})
    low, high = bounds.get("low"), bounds.get("high")
    if low is None or high is None:
        return "undefined"
    return f"{low:.2e} to {high:.2e}" if key == "fa_pixel" else f"{low:.3f} to {high:.3f}"


def row(result: Result) -> dict[str, Any]:
    """One line of a table."""
    cells: dict[str, Any] = {name: result.metrics[name] for name in ("profile", "network", "split")}
    for key, title in FIGURES.items():
        cells[title] = result.metrics[key]
        cells[f"{title}, interval"] = interval(result, key)
    cells[BASELINE_TITLE] = result.metrics[BASELINE]
    how = result.intervals
    cells["intervals are"] = (
        f"{how.get('confidence', 0):.0%}, bootstrap over {how.get('samples')} draws of "
        f"{how.get('unit')}s"
    )
    return cells


def show(group: list[Result]) -> None:
    """One table, best IoU first."""
    facts = group[0].metrics
    st.subheader(f"{facts['source']}, split {facts['split']}: {facts['n_images']} test images")
    st.caption(
        f"Convention {facts['convention']}, probability above {facts['threshold']}, matching "
        f"distance {facts['distance_px']} px, {facts['n_targets']} targets; data version "
        f"{facts['data_checksum'][:12]}."
    )
    table = pd.DataFrame([row(result) for result in group])
    decimals = {
        title: st.column_config.NumberColumn(format="%.2e" if key == "fa_pixel" else "%.4f")
        for key, title in {**FIGURES, BASELINE: BASELINE_TITLE}.items()
    }
    st.dataframe(
        table.sort_values("IoU", ascending=False, na_position="last"),
        hide_index=True,
        column_config=decimals,
    )


st.title("Leaderboard")
results = require_results(project_root())
for _, members in groupby(sorted(results, key=conditions), key=conditions):
    show(list(members))
st.caption(
    "Only results in one table can be compared: they share test images, data version, convention, "
    "threshold and matching distance. Rates are fractions. The last figure is what the best single "
    "grey threshold reaches, chosen on the test part itself."
)
