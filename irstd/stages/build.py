"""Stage `build`: a data set made from prepared images as SHR-IRST was (ISPANet, section III)."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64
from tqdm import tqdm

from irstd.config.build import BuildParams, SimilarityParams, UnifyParams
from irstd.data.construction.labels import class_balance, target_labels
from irstd.data.construction.near import NearImages
from irstd.data.construction.relabel import Proposal, propose, side_by_side
from irstd.data.construction.sampling import (
    COMPLEX,
    SIMPLE,
    background_kind,
    choose_distinct,
    every_nth,
)
from irstd.data.construction.sizing import unify
from irstd.data.pixels import write_png
from irstd.data.store import SPLITS, PreparedData
from irstd.errors import DataError
from irstd.files import replaced, replaced_folder, write_json, write_text

log = logging.getLogger(__name__)

KEPT, NEAR, NOT_SAMPLED = "kept", "near-duplicate", "not sampled"

MASK_WHITE = 255


def build(prepared: Path, destination: Path, report: Path, params: BuildParams) -> pd.DataFrame:
    """Write a data set of files, and a report on how it came about.

    The data set has `images/<id>.png`, `masks/<id>.png`, `img_idx/<part>.txt` and `targets.csv`
    (box, centre and area of each target). Every image stays in its part. The report has
    `decisions.csv` (each image, and why it was left out), `metrics.json`, `summary.md` and the
    folder `relabel`: `proposals.csv`, `masks/` and one picture per target, old label left, new one
    right. Labels are only proposed: the masks of the data set are the source's.

    Args:
        prepared: folder of the prepared images.
        destination: folder of the data set, replaced.
        report: folder of the report.
        params: the group `build`.

    Returns:
        The table of decisions.

    Raises:
        DataError: images are not prepared, or some cannot be brought to the one size.
    """
    data = PreparedData(prepared)
    decisions = decide(data, params.every_nth, params.similarity)
    kept = np.flatnonzero(decisions["decision"] == KEPT)
    with replaced_folder(destination) as folder:
        n_targets = _write_data_set(folder, data, kept, params.size)
    proposals = _write_proposals(report / "relabel", data, kept) if params.relabel else None
    with replaced(report / "decisions.csv") as temporary:
        decisions.to_csv(temporary, index=False, lineterminator="\n")
    metrics = summarise(data.index, decisions, params, proposals) | {"targets": n_targets}
    write_json(report / "metrics.json", metrics)
    write_text(report / "summary.md", _markdown(metrics))
    return decisions


def decide(data: PreparedData, step: int, similarity: SimilarityParams | None) -> pd.DataFrame:
    """Which images are kept: samples of sequences, then no near-duplicates.

    The test part comes first, then val, then train, so that of two near-duplicates the one in the
    later part is dropped.

    Args:
        data: the prepared images.
        step: frame of each sequence that is kept.
        similarity: limits; None keeps near-duplicates.

    Returns:
        One row per image in the order of the index: id, split, decision; kind of background, null
        where it was not needed; near: id of the kept image that it nearly equals, or null.
    """
    table = data.index[["id", "split"]].reset_index(drop=True).assign(decision=NOT_SAMPLED)
    table = table.assign(kind=None, near=None).astype({"kind": object, "near": object})
    sampled = every_nth(data.index, step)
    table.loc[sampled, "decision"] = KEPT
    if similarity is None:
        return table
    order = table.loc[sampled, "split"].map({name: -k for k, name in enumerate(SPLITS)})
    rows = order.sort_values(kind="stable").index.to_numpy()
    kinds = [_kind(data, row, similarity) for row in rows]
    thresholds = {SIMPLE: similarity.simple, COMPLEX: similarity.complex}
    images = [data.image(row) for row in rows]
    near = NearImages(images, min(thresholds.values()), similarity.hash_bits)
    table.loc[rows, "kind"] = kinds
    for row, partner in zip(rows, choose_distinct(near, kinds, thresholds), strict=True):
        if partner is not None:
            table.loc[row, ["decision", "near"]] = [NEAR, table.loc[rows[partner], "id"]]
    return table


def summarise(
    index: pd.DataFrame,
    decisions: pd.DataFrame,
    params: BuildParams,
    proposals: pd.DataFrame | None,
) -> dict[str, Any]:
    """Counts of decisions, parts and proposals; class balance before and after.

    Args:
        index: of the prepared images.
        decisions: as `decide` gives it.
        params: the group `build`.
        proposals: the table of proposals, None if none were made.
    """
    kept = decisions["decision"] == KEPT
    counts = decisions["decision"].value_counts()
    metrics: dict[str, Any] = {
        "images": {name: int(counts.get(name, 0)) for name in (KEPT, NEAR, NOT_SAMPLED)},
        "parts": {name: int((decisions.loc[kept, "split"] == name).sum()) for name in SPLITS},
        "balance_before": class_balance(index, params.classes),
        "balance_after": class_balance(index[kept.to_numpy()], params.classes),
    }
    if proposals is not None:
        for column in ("status", "verdict"):
            metrics[column] = {str(k): int(v) for k, v in proposals[column].value_counts().items()}
    return metrics


def _kind(data: PreparedData, row: int, params: SimilarityParams) -> str:
    given = data.index["background"].iloc[row]
    name = None if pd.isna(given) else str(given)
    return background_kind(
        data.image(row), name, params.simple_backgrounds, params.simple_edge_share
    )


def _write_data_set(
    folder: Path, data: PreparedData, rows: Int64[np.ndarray, " k"], size: UnifyParams
) -> int:
    """Write images, masks, lists and targets; return the number of targets."""
    targets: list[dict[str, Any]] = []
    faults = []
    for row in tqdm(rows, desc="build: write", unit="image"):
        name = str(data.index["id"].iloc[row])
        try:
            image, mask = unify(
                data.image(row), data.mask(row), size.method, (size.height, size.width)
            )
        except DataError as error:
            faults.append(f"{name}: {error}")
            continue
        write_png(folder / "images" / f"{name}.png", image)
        write_png(folder / "masks" / f"{name}.png", mask * MASK_WHITE)
        targets += [{"id": name} | label for label in target_labels(mask)]
    if faults:
        raise DataError(
            f"{len(faults)} images cannot be brought to one size:\n  " + "\n  ".join(faults)
        )
    columns = ["id", "target", "top", "left", "bottom", "right", "row", "col", "area_px"]
    table = pd.DataFrame(targets, columns=columns)
    table.to_csv(folder / "targets.csv", index=False, lineterminator="\n")
    kept = data.index.iloc[rows]
    for part in SPLITS:
        ids = kept.loc[kept["split"] == part, "id"]
        write_text(folder / "img_idx" / f"{part}.txt", "".join(f"{name}\n" for name in ids))
    return len(table)


def _write_proposals(folder: Path, data: PreparedData, rows: Iterable[int]) -> pd.DataFrame:
    """Write proposed masks, pictures and the table; nothing else is touched."""
    entries: list[dict[str, Any]] = []
    with replaced_folder(folder) as new:
        for row in tqdm(rows, desc="build: relabel", unit="image"):
            name, image = str(data.index["id"].iloc[row]), data.image(row)
            proposals = list(propose(image, data.mask(row)))
            entries += [_entry(name, one) for one in proposals]
            changed = [one for one in proposals if one.status == "proposed"]
            if not changed:
                continue
            mask = data.mask(row).copy()
            for one in changed:
                mask[one.window][one.old] = 0
            for one in changed:
                mask[one.window][one.new] = 1
                picture = new / "pictures" / f"{name}_{one.target}.png"
                write_png(picture, side_by_side(image, one))
            write_png(new / "masks" / f"{name}.png", mask * MASK_WHITE)
        columns = ["id", "target", "status", "verdict", "old_px", "new_px", "old_lpd", "new_lpd"]
        table = pd.DataFrame(entries, columns=columns)
        table.to_csv(new / "proposals.csv", index=False, lineterminator="\n")
    return table


def _entry(name: str, proposal: Proposal) -> dict[str, Any]:
    return {
        "id": name,
        "target": proposal.target,
        "status": proposal.status,
        "verdict": proposal.verdict,
        "old_px": int(proposal.old.sum()),
        "new_px": int(proposal.new.sum()),
        "old_lpd": proposal.lpd[0],
        "new_lpd": proposal.lpd[1],
    }


def _markdown(metrics: dict[str, Any]) -> str:
    lines = ["# Construction of the data set", ""]
    lines += [f"- {name}: {count}" for name, count in metrics["images"].items()]
    lines += [f"- kept in {name}: {count}" for name, count in metrics["parts"].items()]
    lines += [f"- targets: {metrics['targets']}", "", "| class | before | after |", "|---|---|---|"]
    before, after = metrics["balance_before"], metrics["balance_after"]
    lines += [
        f"| {name} | {before['images'][name]} | {after['images'][name]} |"
        for name in before["images"]
    ]
    lines += [f"| largest / smallest | {before['imbalance']:.3g} | {after['imbalance']:.3g} |", ""]
    for column, title in (("status", "Labels"), ("verdict", "LPD of the new label")):
        if column in metrics:
            counts = ", ".join(f"{count} {name}" for name, count in metrics[column].items())
            lines.append(f"- {title}: {counts}")
    return "\n".join([*lines, ""])
