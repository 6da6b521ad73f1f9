"""Stage `build`: a data set made from prepared images as SHR-IRST was (ISPANet, section III)."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64
from tqdm import tqdm

from irstd.config.build import BuildParams, SimilarityParams, UnifyParams
from irstd.data.construction.labels import class_balance, target_labels
from irstd.data.construction.near import NearImages
from irstd.data.construction.relabel import SIRST_RE
from irstd.data.construction.sampling import (
    COMPLEX,
    SIMPLE,
    background_kind,
    choose_distinct,
    every_nth,
    mean_similarity,
)
from irstd.data.construction.sizing import unify
from irstd.data.pixels import write_png
from irstd.data.store import SPLITS, PreparedData
from irstd.errors import DataError
from irstd.evaluation.summary import number
from irstd.files import replaced, replaced_folder, write_json, write_text
from irstd.stages.proposals import MASK_WHITE, PAGE, write_proposals

log = logging.getLogger(__name__)

KEPT, NEAR, NOT_SAMPLED = "kept", "near-duplicate", "not sampled"
GIVEN, ESTIMATED = "given", "estimated"

RELABEL = "relabel"
"""Folder of the proposed labels in the report."""


def build(prepared: Path, destination: Path, report: Path, params: BuildParams) -> pd.DataFrame:
    """Write a data set of files, and a report on how it came about.

    The data set has `images/<name>.png`, `masks/<name>.png`, `img_idx/<part>.txt` and `targets.csv`
    (box, centre and area of each target); names are those of `file_names`. Every image stays in its
    part. The report has `decisions.csv` (each image, and why it was left out), `metrics.json`,
    `summary.md` and with `params.relabel` the folder `relabel`, see `write_proposals`. Labels are
    only proposed: the masks of the data set are the source's.

    Args:
        prepared: folder of the prepared images.
        destination: folder of the data set, replaced.
        report: folder of the report.
        params: the group `build`.

    Returns:
        The table of decisions.

    Raises:
        DataError: images are not prepared or have no pixel masks, no layout of files holds them, or
            some cannot be brought to the one size.
    """
    data = PreparedData(prepared)
    _check_masks(data)
    names = file_names(data.index)
    decisions = decide(data, params.every_nth, params.similarity)
    kept = np.flatnonzero(decisions["decision"] == KEPT)
    with replaced_folder(destination) as folder:
        n_targets = _write_data_set(folder, data, names, kept, params.size)
    proposals = None
    if params.relabel:
        proposals = write_proposals(report / RELABEL, data, names, kept)
    elif (report / RELABEL).exists():
        shutil.rmtree(report / RELABEL)  # of an earlier run
    with replaced(report / "decisions.csv") as temporary:
        decisions.to_csv(temporary, index=False, lineterminator="\n")
    metrics = summarise(data, decisions, params, proposals) | {"targets": n_targets}
    write_json(report / "metrics.json", metrics)
    write_text(report / "summary.md", _markdown(metrics))
    return decisions


def file_names(index: pd.DataFrame) -> list[str]:
    """Names of the image files without suffix: the id, or `sequence/frame` as in L12 and V2.

    The name of a frame is what its id has behind that of its sequence.

    Args:
        index: of the prepared images.

    Raises:
        DataError: there are sequences and single images, which no layout of files holds.
    """
    single = index["sequence"].isna()
    if single.any() and not single.all():
        raise DataError(
            f"expected sequences only or single images only, got {int(single.sum())} single images "
            f"of {len(index)}, which no layout of files holds together; prepare them apart"
        )
    if single.all():
        return index["id"].tolist()
    folders = index["sequence"].str.replace("/", "_")
    frames = zip(folders, index["id"], strict=True)
    return [f"{folder}/{name.removeprefix(f'{folder}_')}" for folder, name in frames]


def decide(data: PreparedData, step: int, similarity: SimilarityParams | None) -> pd.DataFrame:
    """Which images are kept: samples of sequences, then no near-duplicates.

    The test part comes first, then val, then train, so that of two near-duplicates the one in the
    later part is dropped.

    Args:
        data: the prepared images.
        step: frame of each sequence that is kept.
        similarity: limits; None keeps near-duplicates.

    Returns:
        One row per image in the order of the index: id, split, decision; kind of background and
        whether it is given or estimated, null where it was not needed; of a dropped image near: id
        of the kept image that it nearly equals; ssim of both; limit that it exceeds.
    """
    table = data.index[["id", "split"]].reset_index(drop=True).assign(decision=NOT_SAMPLED)
    table[["kind", "kind_from", "near"]] = pd.DataFrame(None, table.index, range(3), dtype=object)
    table[["ssim", "limit"]] = np.nan
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
    given = data.index["background"].notna().to_numpy()[rows]
    table.loc[rows, "kind"] = kinds
    table.loc[rows, "kind_from"] = np.where(given, GIVEN, ESTIMATED)
    for row, one in zip(rows, choose_distinct(images, near, kinds, thresholds), strict=True):
        if one is not None:
            evidence = [NEAR, table.loc[rows[one.position], "id"], one.ssim, one.limit]
            table.loc[row, ["decision", "near", "ssim", "limit"]] = evidence
    return table


def summarise(
    data: PreparedData,
    decisions: pd.DataFrame,
    params: BuildParams,
    proposals: pd.DataFrame | None,
) -> dict[str, Any]:
    """Counts of decisions, parts and proposals; class balance and mean SSIM before and after.

    Args:
        data: the prepared images.
        decisions: as `decide` gives it.
        params: the group `build`.
        proposals: the table of proposals, None if none were made.
    """
    kept = decisions["decision"] == KEPT
    counts = decisions["decision"].value_counts()
    images = [data.image(row) for row in range(len(data))]
    metrics: dict[str, Any] = {
        "images": {name: int(counts.get(name, 0)) for name in (KEPT, NEAR, NOT_SAMPLED)},
        "parts": {name: int((decisions.loc[kept, "split"] == name).sum()) for name in SPLITS},
        "balance_before": class_balance(data.index, params.classes),
        "balance_after": class_balance(data.index[kept.to_numpy()], params.classes),
        "mean_ssim_before": mean_similarity(images, np.ones(len(images), dtype=bool)),
        "mean_ssim_after": mean_similarity(images, kept.to_numpy()),
    }
    if params.similarity is not None:
        known = decisions.groupby(["kind", "kind_from"]).size()
        metrics["kinds"] = {
            kind: {origin: int(known.get((kind, origin), 0)) for origin in (GIVEN, ESTIMATED)}
            for kind in (SIMPLE, COMPLEX)
        }
    if proposals is not None:
        for column in ("status", "verdict"):
            metrics[column] = {str(k): int(v) for k, v in proposals[column].value_counts().items()}
        if set(data.index["source"]) == {"sirst"}:
            metrics["verdict_sirst_re"] = dict(SIRST_RE)
    return metrics


def _check_masks(data: PreparedData) -> None:
    origins = data.index["mask_origin"].value_counts()
    marked = {origin: count for origin, count in origins.items() if origin != "pixels"}
    if marked:
        found = " and ".join(f"{origin} for {count}" for origin, count in marked.items())
        raise DataError(
            f"{data.folder}: expected pixel masks for all {len(data)} images, got only {found}; "
            "a data set built of them would pass drawn boxes or points off as labels; prepare a "
            "source with masks"
        )


def _kind(data: PreparedData, row: int, params: SimilarityParams) -> str:
    given = data.index["background"].iloc[row]
    name = None if pd.isna(given) else str(given)
    return background_kind(
        data.image(row), name, params.simple_backgrounds, params.simple_edge_share
    )


def _write_data_set(
    folder: Path,
    data: PreparedData,
    names: Sequence[str],
    rows: Int64[np.ndarray, " k"],
    size: UnifyParams,
) -> int:
    """Write images, masks, lists and targets; return the number of targets."""
    targets: list[dict[str, Any]] = []
    faults = []
    for row in tqdm(rows, desc="build: write", unit="image"):
        plain = str(data.index["id"].iloc[row])
        try:
            image, mask = unify(
                data.image(row), data.mask(row), size.method, (size.height, size.width)
            )
        except DataError as error:
            faults.append(f"{plain}: {error}")
            continue
        write_png(folder / "images" / f"{names[row]}.png", image)
        write_png(folder / "masks" / f"{names[row]}.png", mask * MASK_WHITE)
        targets += [{"id": plain} | label for label in target_labels(mask)]
    if faults:
        raise DataError(
            f"{len(faults)} images cannot be brought to one size:\n  " + "\n  ".join(faults)
        )
    columns = ["id", "target", "top", "left", "bottom", "right", "row", "col", "area_px"]
    table = pd.DataFrame(targets, columns=columns)
    table.to_csv(folder / "targets.csv", index=False, lineterminator="\n")
    parts = data.index["split"].to_numpy()
    for part in SPLITS:
        listed = "".join(f"{names[row]}\n" for row in rows if parts[row] == part)
        write_text(folder / "img_idx" / f"{part}.txt", listed)
    return len(table)


def _markdown(metrics: dict[str, Any]) -> str:
    lines = ["# Construction of the data set", ""]
    lines += [f"- {name}: {count}" for name, count in metrics["images"].items()]
    lines += [f"- kept in {name}: {count}" for name, count in metrics["parts"].items()]
    lines += [
        f"- {kind} backgrounds: " + ", ".join(f"{count} {origin}" for origin, count in one.items())
        for kind, one in metrics.get("kinds", {}).items()
    ]
    lines += [f"- targets: {metrics['targets']}", "", "| | before | after |", "|---|---|---|"]
    before, after = metrics["balance_before"], metrics["balance_after"]
    lines += [
        f"| images, class {name} | {before['images'][name]} | {after['images'][name]} |"
        for name in before["images"]
    ]
    for title, pair in (
        ("largest / smallest class", (before["imbalance"], after["imbalance"])),
        ("mean SSIM of a pair", (metrics["mean_ssim_before"], metrics["mean_ssim_after"])),
    ):
        lines.append(f"| {title} | {number(pair[0])} | {number(pair[1])} |")
    return "\n".join([*lines, *_labels_part(metrics), ""])


def _labels_part(metrics: dict[str, Any]) -> Iterator[str]:
    """What was proposed for the labels; nothing if nothing was asked for."""
    if "status" not in metrics:
        return
    yield ""
    for title, column in (
        ("Labels", "status"),
        ("LPD of the new label", "verdict"),
        ("The paper's SIRST-RE (ISPANet, Table IV)", "verdict_sirst_re"),
    ):
        if column in metrics:
            counts = ", ".join(f"{count} {name}" for name, count in metrics[column].items())
            yield f"- {title}: {counts or 'no target'}"
    yield f"- [Old and new labels side by side]({RELABEL}/{PAGE})"
