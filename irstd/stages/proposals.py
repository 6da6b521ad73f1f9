"""Proposed labels of a data set that is built, to be looked at and confirmed one by one."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from jaxtyping import Int64
from tqdm import tqdm

from irstd.data.construction.labels import target_labels
from irstd.data.construction.relabel import Proposal, compose, propose, side_by_side
from irstd.data.pixels import write_png
from irstd.data.store import PreparedData
from irstd.evaluation.page import page, paragraph
from irstd.evaluation.summary import number
from irstd.files import replaced_folder, write_text

PAGE = "index.html"
MASK_WHITE = 255

BOX = ("top", "left", "bottom", "right")
COLUMNS = (
    *("id", "target", *BOX),
    *("status", "verdict", "old_px", "new_px", "old_lpd", "new_lpd"),
)

INTRODUCTION = (
    "Each picture has the old label at the left and the new one at the right. LPD is the mean grey "
    "value of a label minus that of its surroundings, in [-1, 1]; the verdict compares both labels "
    "of a target."
)


def write_proposals(
    folder: Path, data: PreparedData, names: Sequence[str], rows: Int64[np.ndarray, " k"]
) -> pd.DataFrame:
    """Write `proposals.csv`, `masks/<name>.png`, `pictures/` and `index.html`, which shows them.

    The table has a row per target: half-open box of its old label in pixels of the prepared image,
    status, verdict, pixels and LPD of both labels. Only images with a new label have a mask there.

    Args:
        folder: is replaced.
        data: the prepared images.
        names: of the files of each image, without suffix.
        rows: positions of the images.

    Returns:
        The table.
    """
    entries: list[dict[str, Any]] = []
    with replaced_folder(folder) as new:
        for row in tqdm(rows, desc="build: relabel", unit="image"):
            plain, image, mask = str(data.index["id"].iloc[row]), data.image(row), data.mask(row)
            proposals = propose(image, mask)
            for one, label in zip(proposals, target_labels(mask), strict=True):
                entries.append({"id": plain} | {side: label[side] for side in BOX} | _entry(one))
                write_png(new / _picture(entries[-1]), side_by_side(image, one))
            if any(one.status == "proposed" for one in proposals):
                composed = compose(mask, proposals)
                write_png(new / "masks" / f"{names[row]}.png", composed * MASK_WHITE)
        table = pd.DataFrame(entries, columns=list(COLUMNS))
        table.to_csv(new / "proposals.csv", index=False, lineterminator="\n")
        write_text(new / PAGE, _page(entries))
    return table


def _entry(proposal: Proposal) -> dict[str, Any]:
    return {
        "target": proposal.target,
        "status": proposal.status,
        "verdict": proposal.verdict,
        "old_px": int(proposal.old.sum()),
        "new_px": int(proposal.new.sum()),
        "old_lpd": proposal.lpd[0],
        "new_lpd": proposal.lpd[1],
    }


def _picture(entry: dict[str, Any]) -> str:
    return f"pictures/{entry['id']}_{entry['target']}.png"


def _page(entries: Sequence[dict[str, Any]]) -> str:
    head = ("old and new", "image", "target", "pixels", "LPD", "status", "verdict")
    rows = [f"<tr>{''.join(f'<th>{title}</th>' for title in head)}</tr>", *map(_row, entries)]
    return page(
        "Proposed labels", [paragraph(INTRODUCTION), f"<table>\n{chr(10).join(rows)}\n</table>"]
    )


def _row(entry: dict[str, Any]) -> str:
    """One target; its picture is loaded when it comes into view."""
    cells = (
        entry["id"],
        entry["target"],
        f"{entry['old_px']} to {entry['new_px']}",
        f"{number(entry['old_lpd'])} to {number(entry['new_lpd'])}",
        entry["status"],
        entry["verdict"],
    )
    picture = f'<img loading="lazy" src="{escape(quote(_picture(entry)))}" alt="old and new label">'
    told = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f"<tr><td>{picture}</td>{told}</tr>"
