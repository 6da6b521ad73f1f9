"""Stage `drift`: has a new batch of images changed from what a network was trained on?"""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from irstd.config.drift import DriftParams
from irstd.data.drift import (
    MEANINGS,
    Comparison,
    Measured,
    compare,
    independent_rows,
    measure_images,
    measure_prepared,
    sample,
    verdict,
)
from irstd.data.drift_figure import draw_figures
from irstd.data.entries import Contents
from irstd.data.faults import FaultLog, read_images
from irstd.data.index import INDEX_FILE
from irstd.data.layouts import LAYOUTS, read_contents
from irstd.data.listing import Listed
from irstd.data.pixels import Grey
from irstd.data.store import PreparedData, write_prepared
from irstd.data.tree import scan
from irstd.errors import DataError
from irstd.files import replaced, write_json, write_text
from irstd.inference.inputs import Source, find_sources, read_frames
from irstd.layout import Layout

VERDICT_FILE = "drift.json"
LEAST_SIDE_PX = 8

log = logging.getLogger(__name__)


def check_drift(
    root: Path,
    params: DriftParams,
    seed: int,
    new: Path,
    reference: str,
    trained_on: str | None = None,
) -> dict[str, Any]:
    """Compare a new batch with the training part of a profile; write `reports/drift/<profile>`.

    The report holds `drift.json` (the verdict, for machines), `summary.md` with `figures.png`, and
    `measurements.csv`, from which the figures are drawn.

    Args:
        root: the project's folder.
        params: the group `drift`.
        seed: of the sampling and the permutations.
        new: a prepared folder, all parts of which are taken; a folder with ground truth in one of
            the layouts of `irstd.data.layouts`; or a folder of images and videos alone, whose
            targets are unknown. A sequence or video gives one frame.
        reference: profile whose prepared training part is compared with.
        trained_on: checksum of the data that the network was trained on; None: not compared.

    Returns:
        What `drift.json` holds. Its `verdict` is `drift`, `no_drift`, or `undecided` where there
        are too few images.

    Raises:
        DataError: the reference is not prepared or other data than `trained_on`, or there is no
            readable image in `new`.
    """
    layout = Layout(root, reference)
    data = PreparedData(layout.processed)
    if trained_on is not None and trained_on != data.checksum:
        raise DataError(
            f"{data.folder}: expected the data that the network was trained on, checksum "
            f"{trained_on}, got {data.checksum}; prepare that version again, or name its profile"
        )
    rng = np.random.default_rng(seed)
    known = _measure_rows(data, data.rows("train"), params, rng)
    unreadable: list[dict[str, str]] = []
    if (new / INDEX_FILE).is_file():
        batch = PreparedData(new)
        measured = _measure_rows(batch, np.arange(len(batch)), params, rng)
    else:
        measured = _measure_files(new, layout.report("drift"), params, rng, unreadable)
    comparisons = compare(known, measured, params, seed)
    document = _document(data, known, new, measured, comparisons, params, unreadable)
    _write(layout.report("drift"), document, known, measured, comparisons)
    return document


def _measure_rows(
    data: PreparedData, rows: np.ndarray, params: DriftParams, rng: np.random.Generator
) -> Measured:
    independent = independent_rows(data, rows).tolist()
    if not independent:
        raise DataError(f"{data.folder}: expected images to compare, got none; prepare them again")
    return measure_prepared(data, sample(independent, params.most_images, rng))


def _measure_files(
    folder: Path,
    skip: Path,
    params: DriftParams,
    rng: np.random.Generator,
    unreadable: list[dict[str, str]],
) -> Measured:
    tree = scan(folder)
    if any(layout.fits(tree) for layout in LAYOUTS):
        return _measure_labelled(read_contents(tree), params, rng, unreadable)
    sources = find_sources([folder], skip=skip)
    chosen = [sources[place] for place in sample(range(len(sources)), params.most_images, rng)]
    return measure_images(_first_frames(chosen, folder, unreadable))


def _measure_labelled(
    contents: Contents,
    params: DriftParams,
    rng: np.random.Generator,
    unreadable: list[dict[str, str]],
) -> Measured:
    first: dict[str, Listed] = {}
    for entry in sorted(contents.entries.values(), key=lambda entry: entry.frame or 0):
        first.setdefault(entry.sequence or entry.id, Listed(entry, "test"))
    items = list(first.values())
    chosen = [items[place] for place in sample(range(len(items)), params.most_images, rng)]
    faults = FaultLog("quarantine")
    with tempfile.TemporaryDirectory(prefix="irstd-drift-") as scratch:
        write_prepared(
            Path(scratch), read_images(contents, chosen, faults), str(contents.tree.root)
        )
        data = PreparedData(Path(scratch))
        measured = measure_prepared(data, range(len(data)))
    unreadable += [{"file": fault.file, "reason": fault.reason} for fault, _ in faults.entries]
    return measured


def _first_frames(
    sources: list[Source], folder: Path, unreadable: list[dict[str, str]]
) -> Iterator[Grey]:
    """The first image of each source; what cannot be read is listed.

    Raises:
        DataError: at the end, if nothing could be read.
    """
    for source in sources:
        try:
            image = next(read_frames(source))[1]
            if min(image.shape) < LEAST_SIDE_PX:
                raise DataError(
                    f"expected at least {LEAST_SIDE_PX} x {LEAST_SIDE_PX} px, got {image.shape}"
                )
        except DataError as error:
            reason = str(error).removeprefix(f"{source.path}: ")
            unreadable.append({"file": source.name, "reason": reason})
            log.warning("drift: %s: %s", source.name, reason)
        else:
            yield image
    if len(unreadable) == len(sources):
        first = unreadable[0]
        raise DataError(
            f"{folder}: none of {len(sources)} files could be read; {first['file']}: "
            f"{first['reason']}; copy them again"
        )


def _document(
    data: PreparedData,
    known: Measured,
    new: Path,
    measured: Measured,
    comparisons: tuple[Comparison, ...],
    params: DriftParams,
    unreadable: list[dict[str, str]],
) -> dict[str, Any]:
    return {
        "verdict": verdict(comparisons),
        "changed": [item.name for item in comparisons if item.changed],
        "not_tested": [item.name for item in comparisons if np.isnan(item.p)],
        "reference": {
            "folder": str(data.folder),
            "data_checksum": data.checksum,
            "images": len(known.figures),
        },
        "new": {"folder": str(new), "images": len(measured.figures), "unreadable": unreadable},
        "parameters": params.model_dump(),
        "tests": [asdict(item) for item in comparisons],
    }


def _write(
    folder: Path,
    document: dict[str, Any],
    known: Measured,
    measured: Measured,
    comparisons: tuple[Comparison, ...],
) -> None:
    """The verdict comes last: what it speaks of is there."""
    batches = {"reference": known.figures, "new": measured.figures}
    table = pd.concat(batches, names=["batch"]).reset_index("batch")
    write_text(folder / "measurements.csv", table.to_csv(index=False, lineterminator="\n"))
    with replaced(folder / "figures.png") as temporary:
        draw_figures(table).savefig(temporary, format="png")
    write_text(folder / "summary.md", _markdown(document, comparisons))
    write_json(folder / VERDICT_FILE, document)


def _markdown(document: dict[str, Any], comparisons: tuple[Comparison, ...]) -> str:
    rate = document["parameters"]["false_alarm_rate"]
    changed = ", ".join(document["changed"]) or "nothing"
    reference, new = document["reference"], document["new"]
    lines = [
        f"# Drift: {document['verdict']}",
        "",
        f"Changed: {changed}. At most a share of {rate:g} of unchanged batches is called changed.",
        "",
        f"- reference: {reference['folder']}, {reference['images']} images",
        f"- new: {new['folder']}, {new['images']} images",
        *(f"- not read: {item['file']}: {item['reason']}" for item in new["unreadable"]),
        "",
        "| figure | meaning | images | median, reference | median, new | distance | p, adjusted |",
        "|---|---|---|---|---|---|---|",
        *(_table_row(item) for item in comparisons),
        "",
        "![distribution functions](figures.png)",
        "",
    ]
    return "\n".join(lines)


def _table_row(item: Comparison) -> str:
    name = f"**{item.name}**" if item.changed else item.name
    numbers = (item.reference, item.new, item.distance, item.p_adjusted)
    shown = ("-" if np.isnan(value) else f"{value:.4g}" for value in numbers)
    images = f"{item.n_reference} / {item.n_new}"
    return f"| {name} | {MEANINGS[item.name]} | {images} | {' | '.join(shown)} |"
