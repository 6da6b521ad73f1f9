"""Every evaluated network, in one table per set of conditions."""

from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st
from results import BASELINE, Result, project_root, require_results

from irstd.evaluation.summary import BASELINE_TITLE, FIGURES

SAME = ("source", "split", "split_hash", "data_checksum", "convention", "threshold", "distance_px")


def conditions(result: Result) -> tuple[str, ...]:
    """What two results must share to be compared."""
    return tuple(str(result.metrics[key]) for key in SAME)


def interval(result: Result, key: str, factor: float) -> str:
    """Bounds of one figure."""
    bounds = result.intervals["intervals"][key]
    low, high = bounds["low"], bounds["high"]
    if low is None or high is None:
        return "undefined"
    return f"{factor * low:.3f} to {factor * high:.3f}"


def row(result: Result) -> dict[str, Any]:
    """One line of a table."""
    cells: dict[str, Any] = {name: result.metrics[name] for name in ("profile", "network", "split")}
    for key, title, factor in FIGURES:
        value = result.metrics[key]
        cells[title] = None if value is None else factor * value
        cells[f"{title}, interval"] = interval(result, key, factor)
    cells[BASELINE_TITLE] = result.metrics[BASELINE]
    how = result.intervals
    cells["intervals are"] = (
        f"{how['confidence']:.0%}, bootstrap over {how['samples']} draws of {how['unit']}s"
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
    titles = [*(title for _, title, _ in FIGURES), BASELINE_TITLE]
    decimals = {title: st.column_config.NumberColumn(format="%.4f") for title in titles}
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
    "threshold and matching distance. Rates are fractions. F_a (components): share of predicted "
    "components without a target, the F_a of the ISPANet paper; F_a (pixels): their pixels over "
    "all pixels. The last figure is what the best single grey threshold reaches, chosen on the "
    "test part itself."
)
