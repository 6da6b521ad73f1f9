"""Which images of a split are worth a look."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

Kind = Literal["hit", "miss", "false_alarm"]


@dataclass(frozen=True)
class Subject:
    """One target or false alarm, with its row of the tables.

    Attributes:
        kind: what it is.
        id: of its image.
        position: of the target, or of the predicted component of a false alarm, in its image.
        row: centroid row in pixels.
        col: centroid column in pixels.
        box: (top, left, bottom, right) in pixels, half-open.
        text: the figures that a caption gives.
    """

    kind: Kind
    id: str
    position: int
    row: float
    col: float
    box: tuple[int, int, int, int]
    text: str


def choose_subjects(
    per_target: pd.DataFrame, false_alarms: pd.DataFrame, limit: int
) -> list[Subject]:
    """The worst misses and false alarms in turn, one per image; then the faintest hits.

    The worst miss is the one of highest SCR: it should have been seen. The worst false alarm is
    that of highest score: no threshold would remove it before the others. If faults are fewer than
    `limit`, hits of lowest SCR follow.

    Args:
        per_target: `irstd.evaluation.tables.TARGET_SCHEMA`.
        false_alarms: `irstd.evaluation.tables.FALSE_ALARM_SCHEMA`.
        limit: at most this many.
    """
    hit = per_target["hit"].astype(bool)
    misses = per_target[~hit].sort_values(["scr", "id", "target"], ascending=[False, True, True])
    hits = per_target[hit].sort_values(["scr", "id", "target"])
    false = false_alarms.sort_values(
        ["score", "area_px", "id", "component"], ascending=[False, False, True, True]
    )
    queues = {"miss": _subjects(misses, "miss"), "false_alarm": _subjects(false, "false_alarm")}
    chosen: dict[str, Subject] = {}
    while queues and len(chosen) < limit:
        for kind, queue in tuple(queues.items()):
            subject = next((one for one in queue if one.id not in chosen), None)
            if subject is None:
                del queues[kind]
            elif len(chosen) < limit:
                chosen[subject.id] = subject
    for subject in _subjects(hits, "hit"):
        if len(chosen) < limit:
            chosen.setdefault(subject.id, subject)
    return list(chosen.values())


def _subjects(rows: pd.DataFrame, kind: Kind) -> Iterator[Subject]:
    for row in rows.to_dict("records"):
        yield Subject(
            kind=kind,
            id=row["id"],
            position=row["component" if kind == "false_alarm" else "target"],
            row=row["row"],
            col=row["col"],
            box=(row["top"], row["left"], row["bottom"], row["right"]),
            text=_figures(row, kind),
        )


def _figures(row: dict[Any, Any], kind: Kind) -> str:
    area = "" if pd.isna(row["area_px"]) else f", {row['area_px']:.0f} px"
    place = f"row {row['row']:.1f}, column {row['col']:.1f}{area}"
    if kind == "false_alarm":
        near = row["nearest_px"]
        where = "no target in the image" if pd.isna(near) else f"nearest target {near:.1f} px away"
        return f"{place}, score {row['score']:.2f}, {where}"
    scr = "undefined" if pd.isna(row["scr"]) else f"{row['scr']:.1f}"
    if kind == "miss":
        return f"{place}, SCR {scr}, largest probability {row['peak']:.2f}"
    overlap = "" if pd.isna(row["overlap"]) else f", overlap {row['overlap']:.2f}"
    return f"{place}, SCR {scr}, score {row['score']:.2f}{overlap}"
