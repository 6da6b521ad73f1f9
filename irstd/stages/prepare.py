"""Stage `prepare`: from a source's files to decoded, indexed, memory-mapped images."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from irstd.config import DataParams, Params
from irstd.config.synthesis import NO_MATERIAL
from irstd.data.faults import QUARANTINE_LIST
from irstd.data.index import INDEX_FILE
from irstd.data.reading import Reading, open_source
from irstd.data.sheet import draw_samples, sample_rows
from irstd.data.sources import SOURCES, RawImage
from irstd.data.store import SPLITS, PreparedData, write_prepared
from irstd.errors import DataError
from irstd.files import replaced, write_json, write_text
from irstd.layout import Layout

SAMPLES = 12

log = logging.getLogger(__name__)


def prepare(root: Path, params: Params) -> PreparedData:
    """Write `data/processed/<profile>` and `reports/prepare/<profile>`.

    The folder holds `index.parquet`, `quarantine.parquet`, `pixels.npy` and `masks.npy`; equal
    files and parameters give equal bytes. The index comes last: a folder with an index is complete.
    The report holds `metrics.json`, `summary.md`, `samples.png` and the faults in `quarantine.csv`,
    which is written even if they stop the stage.

    Args:
        root: the project's folder.
        params: its parameters.

    Raises:
        DataError: the source is missing or faulty under the policy `fail`, or a split is empty.
    """
    layout = Layout(root, params.profile)
    raw = layout.raw(params.data.source)
    reading = open_source(raw, params.data, params.seed, _material(root, params.data))
    images = tqdm(
        _completed(reading, params, layout),
        desc=f"prepare {params.data.source}",
        total=reading.total,
        unit="image",
    )
    # iter(): tqdm looks like a collection, into which run-time type checkers look, taking an image.
    write_prepared(layout.processed, iter(images), params.data.source)
    data = PreparedData(layout.processed)
    report(layout.report("prepare"), data, reading, params)
    return data


def report(folder: Path, data: PreparedData, reading: Reading, params: Params) -> None:
    """Write the counts, a summary to read and a sheet of samples."""
    metrics = summarise(data, reading, params)
    for difference in metrics["differences"]:
        log.warning("%s: %s", params.data.source, difference)
    sheet = draw_samples(data, sample_rows(data, SAMPLES))
    with replaced(folder / "samples.png") as temporary:
        sheet.savefig(temporary, format="png")
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "summary.md", _markdown(metrics, reading))


def summarise(data: PreparedData, reading: Reading, params: Params) -> dict[str, Any]:
    """Counts per split, target statistics, faults and differences from the published counts."""
    index = data.index
    areas = _joined(index["target_areas"])
    ratios = _joined(index["scr"])
    return {
        "source": params.data.source,
        "split": params.data.split,
        "data_checksum": data.checksum,
        "images": {"total": len(index)} | {split: len(data.rows(split)) for split in SPLITS},
        "targets": {"total": int(index["n_targets"].sum())}
        | {split: int(index["n_targets"].iloc[data.rows(split)].sum()) for split in SPLITS},
        "images_without_target": int((index["n_targets"] == 0).sum()),
        "target_area_px": _spread(areas[np.isfinite(areas)]),
        "scr": _spread(ratios[np.isfinite(ratios)]),
        "scr_undefined": int(np.isnan(ratios).sum()),
        "quarantined": reading.log.count("left out"),
        "repaired": reading.log.count("repaired"),
        "listed_twice": reading.log.count("listed once"),
        "unlisted": reading.unlisted,
        "differences": [*reading.differences, *_target_difference(index, reading, params)],
    }


def _material(root: Path, params: DataParams) -> PreparedData | None:
    """Prepared images that the synthesised source is made of."""
    if params.source != "synthesis" or params.synthesis.material == NO_MATERIAL:
        return None
    return PreparedData(root / params.synthesis.material)


def _joined(lists: "pd.Series[Any]") -> np.ndarray:
    return np.concatenate([np.asarray(values, dtype=np.float64) for values in lists])


def _spread(values: np.ndarray) -> dict[str, float]:
    if values.size == 0:
        return {}
    names = ("min", "median", "mean", "max")
    return {name: round(float(getattr(np, name)(values)), 4) for name in names}


def _target_difference(index: pd.DataFrame, reading: Reading, params: Params) -> list[str]:
    """Compare the targets with the published number, where all published images were prepared."""
    source = SOURCES.get(params.data.source)
    if source is None or not reading.complete or len(index) != source.n_images:
        return []
    found = int(index["n_targets"].sum())
    if source.n_targets in (None, found):
        return []
    return [f"{found} targets, {source.n_targets} published"]


def _completed(reading: Reading, params: Params, layout: Layout) -> Iterator[RawImage]:
    """Pass images on; at the end, before the index is published, publish the faults."""
    images = _listing_faults(reading, layout.report("prepare") / QUARANTINE_LIST)
    yield from _all_splits(images, params)
    (layout.processed / INDEX_FILE).unlink(missing_ok=True)  # it belongs to the old faults
    reading.log.write(layout.processed)


def _listing_faults(reading: Reading, table: Path) -> Iterator[RawImage]:
    """Pass images on; at the end, even if the faults stop the stage, list them."""
    try:
        yield from reading.images
    except DataError as error:
        reading.log.write_list(table)
        raise DataError(f"{error}\nthe faults with file and reason: {table}") from error
    reading.log.write_list(table)


def _all_splits(images: Iterable[RawImage], params: Params) -> Iterator[RawImage]:
    """Pass images on; at the end, before anything is published, refuse an empty split.

    A source that is for tests only has no other part.
    """
    source = SOURCES.get(params.data.source)
    is_test_only = source is not None and "train" not in source.splits[params.data.split]
    empty: set[str] = {"test"} if is_test_only else set(SPLITS)
    for raw in images:
        empty -= {raw.split}
        yield raw
    if empty:
        raise DataError(
            f"{params.data.source}, split {params.data.split}: expected images for every part, got "
            f"none for {', '.join(sorted(empty))}; raise data.limit or correct the files"
        )


def _markdown(metrics: dict[str, Any], reading: Reading) -> str:
    rows = [
        f"| {split} | {metrics['images'][split]} | {metrics['targets'][split]} |"
        for split in (*SPLITS, "total")
    ]
    lines = [
        f"# {metrics['source']}, split {metrics['split']}",
        "",
        "| part | images | targets |",
        "|---|---|---|",
        *rows,
        "",
        f"- target area in pixels: {_phrase(metrics['target_area_px'])}",
        f"- SCR: {_phrase(metrics['scr'])}; undefined for {metrics['scr_undefined']} targets",
        f"- images without a target: {metrics['images_without_target']}",
        f"- left out: {metrics['quarantined']}, repaired: {metrics['repaired']}, "
        f"listed twice: {metrics['listed_twice']}, not in the split's lists: {metrics['unlisted']}",
        *(f"- differs from the publication: {text}" for text in metrics["differences"]),
        *(f"- {fault.file} ({action}): {fault.reason}" for fault, action in reading.log.entries),
        "",
        "![samples](samples.png)",
        "",
    ]
    return "\n".join(lines)


def _phrase(spread: dict[str, float]) -> str:
    if not spread:
        return "no target"
    return "{min:g} to {max:g}, median {median:g}, mean {mean:g}".format(**spread)
